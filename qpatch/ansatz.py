"""The circuit of one QNN (section 2.1 and appendix A): the order of its gates and of its angles.

Every backend reads the circuit from here. Qubit 0 is the most significant index of the statevector.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import lazy_loader

torch = lazy_loader.load("torch")

N_STRETCHES = 3  # stretches of entangling blocks; the two encoding blocks stand between them
AXES = ("x", "y")  # an entangling block is a layer of RX, then one of RY, then the CZ ring


class Gate(NamedTuple):
    """One gate: ``kind`` is 'rx', 'ry' or 'cz'; a rotation takes its angle from the angles or from the features."""

    kind: str
    qubits: tuple[int, ...]
    angle: int | None = None
    feature: int | None = None


class Angles(NamedTuple):
    """A QNN's angles (radians) by their place in the circuit.

    entangling: ``(..., 3, depth, 2, n_qubits)``: stretch, block, axis (RX then RY), qubit.
    encoding: ``(..., 2, n_qubits, n_qubits / 2, 2)``: encoding block, qubit, feature, before and after the feature.
    """

    entangling: torch.Tensor
    encoding: torch.Tensor


def split_angles(flat: torch.Tensor, n_qubits: int) -> Angles:
    """Cut the author's flat angles ``(..., 6 n d + 2 n^2)``, stretches and encoding blocks in turn, into their places.

    ValueError where their number fits no depth.
    """
    encoding_size = n_qubits**2
    stretch_size, rest = divmod(flat.shape[-1] - 2 * encoding_size, N_STRETCHES)
    depth, remainder = divmod(stretch_size, 2 * n_qubits)
    if rest or remainder or depth < 1:
        raise ValueError(
            f"{flat.shape[-1]} angles fit no circuit of {n_qubits} qubits; 6 n d + 2 n^2 are needed for depth d >= 1"
        )
    pieces = flat.split([stretch_size, encoding_size, stretch_size, encoding_size, stretch_size], dim=-1)
    entangling, encoding = (torch.stack(each, dim=-2) for each in (pieces[::2], pieces[1::2]))
    return Angles(
        entangling.unflatten(-1, (depth, len(AXES), n_qubits)), encoding.unflatten(-1, (n_qubits, n_qubits // 2, 2))
    )


def n_angles(n_qubits: int, depth: int) -> int:
    """Angles of one QNN, 6 n d + 2 n^2 for n qubits and depth d (48 d + 128 for the paper's eight)."""
    return 6 * n_qubits * depth + 2 * n_qubits**2


def encoding_axes(n_qubits: int) -> list[tuple[str, str]]:
    """For each of a qubit's features: the axis of its two trainable rotations, and that of the feature's own.

    Feature 0 is encoded as RY RX(x) RY, feature 1 as RX RY(x) RX, and so on in turn.
    """
    return [("y", "x") if feature % 2 == 0 else ("x", "y") for feature in range(n_qubits // 2)]


def ring(n_qubits: int) -> list[tuple[int, int]]:
    """The pairs of the CZ ring. With two qubits its two gates fall on the same pair and cancel."""
    return [(qubit, (qubit + 1) % n_qubits) for qubit in range(n_qubits)]


def gates(n_qubits: int, depth: int) -> Iterator[Gate]:
    """All gates of one QNN in the order in which they act on |0...0>."""
    places = split_angles(torch.arange(n_angles(n_qubits, depth)), n_qubits)
    entangling, encoding = places.entangling.tolist(), places.encoding.tolist()
    controlled = [Gate("cz", pair) for pair in ring(n_qubits)]
    features = itertools.count()
    for stretch in range(N_STRETCHES):
        for block in range(depth):
            for axis, angles in zip(AXES, entangling[stretch][block], strict=True):
                yield from (Gate(f"r{axis}", (qubit,), angle) for qubit, angle in enumerate(angles))
            if (stretch, block) != (N_STRETCHES - 1, depth - 1):  # the very last block has no ring
                yield from controlled
        if stretch == N_STRETCHES - 1:
            return
        for qubit, angles in enumerate(encoding[stretch]):
            for (outer, inner), (before, after) in zip(encoding_axes(n_qubits), angles, strict=True):
                yield Gate(f"r{outer}", (qubit,), before)
                yield Gate(f"r{inner}", (qubit,), feature=next(features))
                yield Gate(f"r{outer}", (qubit,), after)
        yield from controlled


def readout(n_qubits: int, n_classes: int) -> list[tuple[str, int]]:
    """The observable of each class: X on the first ceil(K/2) qubits, then Z on the first floor(K/2)."""
    n_x = (n_classes + 1) // 2
    if n_x > n_qubits:
        raise ValueError(f"{n_classes} classes need {n_x} qubits, there are {n_qubits}")
    return [("x", qubit) for qubit in range(n_x)] + [("z", qubit) for qubit in range(n_classes - n_x)]
