"""What it takes to share a quantum model out among processors that have no qubit in common."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from qpatch import ansatz

MOST_CUTS = 12
# Factor in the number of measurements for k cuts, at equal precision of an expectation value.
OVERHEADS = {
    "gates: $9^k$": (lambda k: 9.0**k, "#D55E00", "s"),
    "wires: $16^k$": (lambda k: 16.0**k, "#CC79A7", "^"),
    "wires, with messages: $(2^{k+1} - 1)^2$": (lambda k: (2.0 ** (k + 1) - 1) ** 2, "#009E73", "v"),
}


def crossing_gates(n_qubits: int, depth: int) -> int:
    """Gates of a QNN whose two qubits are in different halves of it."""
    halves = (gate.qubits for gate in ansatz.gates(n_qubits, depth) if gate.kind == "cz")
    return sum((first < n_qubits // 2) != (second < n_qubits // 2) for first, second in halves)


def draw_cutting(ax: Axes) -> Axes:
    """Factors in measurements against the number of cuts, on a logarithmic axis; one for QNNs on patches."""
    cuts = np.arange(MOST_CUTS + 1)
    for name, (overhead, color, marker) in OVERHEADS.items():
        ax.semilogy(cuts, overhead(cuts), color=color, marker=marker, label=f"cut {name}")
    ax.axhline(1, color="#0072B2", lw=2.5, label="a QNN a patch: no cut")
    one_block = crossing_gates(8, 1)
    ax.axvline(one_block, color="#777777", ls=":")
    ax.text(one_block + 0.15, 10, f"one QNN of depth 1\nin halves: {one_block} gates", fontsize=8)
    ax.set(xlabel="cuts, k", ylabel="factor in measurements", xlim=(0, MOST_CUTS), ylim=(0.3, 1e16))
    ax.legend(fontsize=8, loc="upper left")
    return ax
