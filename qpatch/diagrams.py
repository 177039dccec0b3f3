"""Circuit diagrams, drawn from the gate list that every backend reads (`ansatz.gates`)."""

from __future__ import annotations

from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from qpatch.ansatz import Gate
from qpatch.plots import INK

TRAINED, FEATURE, ENTANGLER = "#CFE3F3", "#FBDCC4", "#E3E3E3"
BOX = 0.72  # of the distance between wires


def draw_circuit(ax: Axes, gates: Iterable[Gate], n_qubits: int) -> Axes:
    """One QNN as wires and boxes: trained rotations blue, features orange, each ring of CZ gates one grey box."""
    free = [0] * n_qubits  # the first empty column of each wire
    in_ring = False
    for gate in gates:
        if gate.kind == "cz":
            if not in_ring:
                column = max(free)
                _box(ax, column, 0, n_qubits - 1, "CZ\nring", ENTANGLER)
                free = [column + 1] * n_qubits
            in_ring = True
            continue
        in_ring = False
        qubit = gate.qubits[0]
        trained = gate.feature is None
        label = f"$R_{gate.kind[1]}$" if trained else f"$x_{{{gate.feature}}}$"
        _box(ax, free[qubit], qubit, qubit, label, TRAINED if trained else FEATURE)
        free[qubit] += 1
    for qubit in range(n_qubits):
        ax.plot([-0.9, max(free)], [qubit, qubit], color="#999999", lw=0.8, zorder=0)
        ax.text(-1.0, qubit, "|0⟩", ha="right", va="center", fontsize=9)
    ax.set(xlim=(-2, max(free) + 0.2), ylim=(n_qubits - 0.4, -0.6), aspect="equal")
    ax.axis("off")
    return ax


def _box(ax: Axes, column: int, first: int, last: int, label: str, color: str) -> None:
    corner = (column - BOX / 2, first - BOX / 2)
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(FancyBboxPatch(corner, BOX, last - first + BOX, boxstyle=style, fc=color, ec="#777777", lw=0.6))
    ax.text(column, (first + last) / 2, label, ha="center", va="center", fontsize=7, color=INK)
