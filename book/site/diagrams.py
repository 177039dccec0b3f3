"""Drawings of the circuit: as gates (`ansatz.gates`), as what the engine computes, and a qubit on the Bloch sphere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, FancyBboxPatch, Rectangle

from book.show.plots import INK, START_COLOR
from book.show.tables import TIMES
from qpatch.ansatz import Gate, gates, readout
from qpatch.config import RunConfig

TRAINED, FEATURE, READOUT = "#CFE3F3", "#FBDCC4", "#E3E3E3"
EDGE, WIRE = "#777777", "#999999"
BOX_WIDTH, BOX_HEIGHT = 0.84, 0.72  # of the distance between columns and between wires
CZ_STEP = 0.34  # columns between neighbouring CZ gates
ROWS = (("W_1", "E_1"), ("W_2", "E_2"), ("W_3",))  # the sections of a circuit that share a line of the drawing

# -- the circuit as gates -----------------------------------------------------------------------------------------


def sections(n_qubits: int, depth: int) -> dict[str, list[Gate]]:
    """The gates of one QNN by the factors of its state: W_1, E_1, W_2, E_2, W_3, each with the CZ rings that end it."""
    todo = gates(n_qubits, depth)
    stretch, encoding = 3 * n_qubits * depth, 3 * n_qubits**2 // 2 + n_qubits  # rotations and CZs
    sizes = {"W_1": stretch, "E_1": encoding, "W_2": stretch, "E_2": encoding, "W_3": stretch}
    return {name: list(islice(todo, size)) for name, size in sizes.items()}


def draw_circuit(ax: Axes, n_qubits: int, depth: int, n_classes: int) -> Axes:
    """One QNN gate by gate, on three lines: trained rotations blue, pixels orange, a CZ as two joined dots.

    Angles carry their place in the author's flat order (`ansatz.split_angles`), pixels theirs in the patch.
    """
    parts, right = sections(n_qubits, depth), 0.0
    for line, names in enumerate(ROWS):
        top, column = line * (n_qubits + 1.3), 0.0
        for name in names:
            begin, column = column, _draw_section(ax, parts[name], n_qubits, column, top)
            _name_section(ax, f"${name}$", begin, column, top)
        for qubit in range(n_qubits):
            if line == 0:
                ax.text(-0.75, top + qubit, "|0⟩", ha="right", va="center", fontsize=10)
            ax.plot([-0.65, column - 0.35], [top + qubit] * 2, color=WIRE, lw=0.9, zorder=0)
        right = max(right, column)
    for qubit in range(n_qubits):
        axes = [axis.upper() for axis, measured in readout(n_qubits, n_classes) if measured == qubit]
        if axes:
            _box(ax, column + 0.55, top + qubit, ", ".join(f"$⟨{axis}_{qubit}⟩$" for axis in axes), READOUT, 1.9)
    ax.set(xlim=(-1.4, right), ylim=(top + n_qubits - 0.5, -1.1))
    ax.axis("off")
    return ax


def _draw_section(ax: Axes, section: Sequence[Gate], n_qubits: int, column: float, top: float) -> float:
    """Draw gates from a column on, as far left as their wires are free; return the first free column."""
    free = [column] * n_qubits
    for gate in section:
        first, last = min(gate.qubits), max(gate.qubits)
        if gate.kind == "cz":
            at = max(free)
            ax.plot([at - 0.3] * 2, [top + first, top + last], "o-", color=INK, ms=4, lw=1.1, gid="cz")
            free = [at + CZ_STEP] * n_qubits
            continue
        trained = gate.feature is None
        argument = rf"\theta_{{{gate.angle}}}" if trained else f"x_{{{gate.feature}}}"
        label = f"$R_{gate.kind[1]}$\n${argument}$"
        _box(ax, free[first], top + first, label, TRAINED if trained else FEATURE, BOX_WIDTH)
        free[first] += 1
    return max(free) + (0.3 if section[-1].kind == "cz" else 0)


def _name_section(ax: Axes, name: str, begin: float, end: float, top: float) -> None:
    ax.plot([begin - 0.42, end - 0.6], [top - 0.6] * 2, color=EDGE, lw=1)
    ax.text((begin + end - 1) / 2, top - 0.65, name, ha="center", va="bottom", fontsize=11)


def _box(ax: Axes, x: float, y: float, label: str, color: str, width: float) -> None:
    style = "round,pad=0,rounding_size=0.08"
    corner = (x - width / 2, y - BOX_HEIGHT / 2)
    ax.add_patch(FancyBboxPatch(corner, width, BOX_HEIGHT, boxstyle=style, fc=color, ec=EDGE, lw=0.7))
    ax.text(x, y, label, ha="center", va="center", fontsize=8, linespacing=1.1, color=INK)


# -- the circuit as the engine computes it ------------------------------------------------------------------------


def draw_engine(ax: Axes, config: RunConfig, n_images: int) -> Axes:
    """What `qpatch.engine` computes for a batch of images, from top to bottom, with the shape of every tensor.

    Blue is built once a step and shared by the images, orange is made for each image, grey comes out.
    """
    patches, n, dim = config.n_patches, config.n_qubits, 2**config.n_qubits
    stages = [
        ("vector", r"$W_1\,|0\cdots0\rangle$", "trained start", (patches, dim)),
        ("gates", r"$E_1(x_p)$", "first half of the pixels", (patches, n, n_images, 2, 2)),
        ("matrix", r"$W_2$", "trained", (patches, dim, dim)),
        ("gates", r"$E_2(x_p)$", "second half of the pixels", (patches, n, n_images, 2, 2)),
        ("matrix", r"$W_3$", "trained", (patches, dim, dim)),
        ("out", r"$\langle O_k \rangle$", "one value a class", (patches, n_images, config.n_classes)),
        ("out", r"mean over QNNs $\times\, c$", "logits", (n_images, config.n_classes)),
    ]
    for row, (kind, name, words, shape) in enumerate(stages):
        y = 1.5 * row
        color = {"gates": FEATURE, "out": READOUT}.get(kind, TRAINED)
        ax.add_patch(FancyBboxPatch((0, y), 10, 1.05, boxstyle="round,pad=0,rounding_size=0.12", fc=color, ec=EDGE))
        _glyph(ax, kind, y + 0.525, min(n, 8))
        ax.text(2.0, y + 0.525, name, va="center", fontsize=12)
        ax.text(9.8, y + 0.34, words, ha="right", va="center", fontsize=9)
        sizes = f" {TIMES} ".join(f"{size:,}" for size in shape)
        ax.text(9.8, y + 0.76, sizes, ha="right", va="center", fontsize=9)
        if row:
            ax.annotate("", (5, y), (5, y - 0.45), arrowprops={"arrowstyle": "-|>", "color": EDGE})
    ax.set(xlim=(-0.1, 10.1), ylim=(1.5 * len(stages) - 0.35, -0.1))
    ax.axis("off")
    return ax


def _glyph(ax: Axes, kind: str, y: float, n_gates: int) -> None:
    """A vector, a matrix or a row of small matrices, so that what is big looks big."""
    style = {"fc": "white", "ec": INK, "lw": 0.8}
    if kind == "vector":
        ax.add_patch(Rectangle((0.8, y - 0.4), 0.14, 0.8, **style))
    elif kind == "matrix":
        ax.add_patch(Rectangle((0.33, y - 0.4), 1.1, 0.8, **style))
    elif kind == "gates":
        for number in range(n_gates):
            ax.add_patch(Rectangle((0.2 + 0.18 * number, y - 0.07), 0.12, 0.14, **style))


# -- pixels and qubits --------------------------------------------------------------------------------------------


def pixel_qubits(n_qubits: int) -> np.ndarray:
    """The qubit that takes each pixel of a patch, ``(n, n)`` int; the upper half goes to the first encoding block."""
    owner = {gate.feature: gate.qubits[0] for gate in gates(n_qubits, 1) if gate.feature is not None}
    return np.array([owner[feature] for feature in range(n_qubits**2)]).reshape(n_qubits, n_qubits)


def draw_pixel_qubits(ax: Axes, n_qubits: int) -> Axes:
    """A patch's pixels with the number of the qubit that takes each, and the line between the encoding blocks."""
    owners = pixel_qubits(n_qubits)
    ax.imshow(owners % 2, cmap="Oranges", vmin=-0.4, vmax=4)
    for (row, column), qubit in np.ndenumerate(owners):
        ax.text(column, row, str(qubit), ha="center", va="center", fontsize=9)
    ax.axhline(n_qubits / 2 - 0.5, color=INK, lw=2)
    middle = n_qubits / 4 - 0.5
    ax.set(xticks=[], yticks=[middle, middle + n_qubits / 2], yticklabels=["$E_1$", "$E_2$"])
    ax.grid(False)
    return ax


# -- one qubit ----------------------------------------------------------------------------------------------------


def bloch_vectors(states) -> np.ndarray:
    """Expectation values of X, Y and Z of one-qubit states ``(m, 2)`` complex: ``(m, 3)`` in [-1, 1]."""
    zero, one = np.asarray(states).T
    coherence = 2 * zero.conj() * one
    return np.stack([coherence.real, coherence.imag, np.abs(zero) ** 2 - np.abs(one) ** 2], axis=1)


def on_paper(vectors) -> np.ndarray:
    """A view of the Bloch sphere, ``(m, 3)`` to ``(m, 2)``: y to the right, z up, x towards the reader's left."""
    x, y, z = np.asarray(vectors).T
    turn, tilt = np.radians(25), np.radians(18)
    nearness = x * np.cos(turn) + y * np.sin(turn)
    return np.stack([y * np.cos(turn) - x * np.sin(turn), z * np.cos(tilt) - nearness * np.sin(tilt)], axis=1)


def draw_bloch(ax: Axes, states, color: str = START_COLOR) -> Axes:
    """The path of one-qubit states ``(m, 2)`` on the Bloch sphere, with an arrow to the last."""
    angle = np.linspace(0, 2 * np.pi, 120)
    equator = on_paper(np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1))
    ax.add_patch(Ellipse((0, 0), 2, 2, fc="#F4F6F8", ec=WIRE))
    ax.plot(*equator.T, color=WIRE, lw=0.8, ls=":")
    for axis, label in zip(np.eye(3), "xyz", strict=True):
        end = on_paper(1.25 * axis[None])[0]
        ax.plot([0, end[0]], [0, end[1]], color=WIRE, lw=0.9)
        ax.text(*(1.1 * end), label, ha="center", va="center", color="#555555")
    for height, name in ((1, "|0⟩"), (-1, "|1⟩")):
        ax.text(-0.07, 1.13 * height, name, ha="right", va="center", fontsize=11)
    path = on_paper(bloch_vectors(states))
    ax.plot(*path.T, color=color, lw=1.6, gid="path")
    arrow = {"arrowstyle": "-|>", "color": color, "lw": 2, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", path[-1], (0, 0), arrowprops=arrow)
    ax.set(xlim=(-1.35, 1.45), ylim=(-1.35, 1.45), aspect="equal")
    ax.axis("off")
    return ax
