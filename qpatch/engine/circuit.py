"""Statevectors and expectation values of many QNNs on many images (appendix A), exactly and fast.

None of the three stretches of entangling blocks depends on the data, so for one QNN

    psi(x) = W3 . E2(x) . W2 . E1(x) . W1 |0>.

`prepare` builds what the images share, once a step: the statevector W1 |0>, the unitaries W2 and W3 (the CZ rings
included), and the data-independent part of the encoding. `expectations` then costs two matrix products of
2^n x 2^n an image, whatever the depth. Axes: P QNNs, B images. Real dtypes decide: float32 computes in complex64,
float64 in complex128.
"""

from typing import NamedTuple

import torch

from qpatch import ansatz
from qpatch.engine import blocks
from qpatch.engine.encoding import apply_gates
from qpatch.engine.gates import ring_signs, rotation_gates
from qpatch.engine.readout import expectation_values
from qpatch.engine.unitaries import apply_unitaries


class Prepared(NamedTuple):
    """What all images share, for P QNNs of n qubits.

    start: ``(P, 2^n)`` complex, W1 |0>.
    middle, final: ``(P, 2^n, 2^n)`` complex, W2 and W3, each after the CZ ring of the encoding block before it.
    encoding: ``(P, 2, n, 2^(n/2), 8)`` real: of each encoding block and qubit, the coefficient of every monomial
        of the features' half-angle cosines and sines in the qubit's 2 x 2 matrix (real and imaginary parts).
    """

    start: torch.Tensor
    middle: torch.Tensor
    final: torch.Tensor
    encoding: torch.Tensor


def prepare(angles: torch.Tensor, n_qubits: int) -> Prepared:
    """Build the shared part from the angles ``(P, 6 n d + 2 n^2)``, radians. Twice differentiable.

    In the angles' precision, under autocast too, as all of this module; backward belongs outside of that.
    """
    with torch.autocast(angles.device.type, enabled=False):
        entangling, encoding = ansatz.split_angles(angles, n_qubits)
        ring = ring_signs(n_qubits, angles.dtype, angles.device)
        stretches = blocks.stretch_unitaries(entangling[:, 1:].flatten(0, 1)).unflatten(0, (-1, 2)) * ring
        return Prepared(
            start=blocks.stretch_states(entangling[:, 0]),
            middle=stretches[:, 0],
            final=ring[:, None] * stretches[:, 1],  # which the last block's ring is no part of
            encoding=encoding_coefficients(encoding),
        )


def encoding_coefficients(encoding: torch.Tensor) -> torch.Tensor:
    """Coefficients of the encoding matrices: angles ``(P, 2, n, n/2, 2)`` to ``(P, 2, n, 2^(n/2), 8)`` real.

    A feature enters as ``R(x) = cos(x/2) - i sin(x/2) P``, so a qubit's product of rotations is linear in each
    feature's cosine and sine, with matrices that the images share. Monomial m takes the sine of feature j where
    bit j of m, the first feature's the most significant, is set. Built in double precision, then rounded once.
    """
    dtype, n_qubits = encoding.dtype, encoding.shape[2]
    encoding = encoding.double()
    matrices = torch.eye(2, dtype=encoding.dtype.to_complex(), device=encoding.device)
    matrices = matrices.expand(*encoding.shape[:3], 1, 2, 2)  # (P, 2, n, monomials, 2, 2)
    for j, (outer, inner) in enumerate(ansatz.encoding_axes(n_qubits)):
        before, after = (rotation_gates(encoding[..., j, side], outer).unsqueeze(-3) for side in (0, 1))
        half_turn = rotation_gates(torch.full_like(encoding[0, 0, 0, 0, 0], torch.pi), inner)  # -i P
        cosine = after @ before @ matrices
        sine = after @ half_turn @ before @ matrices
        matrices = torch.stack([cosine, sine], dim=-3).flatten(-4, -3)
    return torch.view_as_real(matrices).flatten(-3).to(dtype)


def encoding_gates(coefficients: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """The 2 x 2 matrix of every image, QNN, encoding block and qubit: ``(P, 2, n, B, 2, 2)`` complex.

    Features are ``(B, P, n^2)``, radians; the first half belongs to the first encoding block.
    """
    n_patches, _, n_qubits = coefficients.shape[:3]
    half_angles = features.reshape(-1, n_patches, 2, n_qubits, n_qubits // 2).permute(1, 2, 3, 4, 0) / 2
    # Images last, so that every elementwise operation runs along them.
    circle = torch.stack([torch.cos(half_angles), torch.sin(half_angles)], dim=-2)  # (P, 2, n, n/2, 2, B)
    monomials = circle[..., 0, :, :]
    for j in range(1, n_qubits // 2):
        monomials = (monomials.unsqueeze(-2) * circle[..., j, None, :, :]).flatten(-3, -2)
    gates = monomials.mT @ coefficients  # (P, 2, n, B, 8)
    return torch.view_as_complex(gates.reshape(*gates.shape[:-1], 4, 2)).unflatten(-1, (2, 2))


def statevectors(prepared: Prepared, features: torch.Tensor) -> torch.Tensor:
    """Final statevectors ``(P, B, 2^n)`` complex of features ``(B, P, n^2)`` in radians."""
    with torch.autocast(features.device.type, enabled=False):
        gates = encoding_gates(prepared.encoding, features)
        states = apply_gates(gates[:, 0], prepared.start.unsqueeze(1))
        states = apply_gates(gates[:, 1], apply_unitaries(prepared.middle, states))
        return apply_unitaries(prepared.final, states)


def expectations(prepared: Prepared, features: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Expectation values of the classes' observables (`ansatz.readout`): ``(P, B, n_classes)`` real."""
    return expectation_values(statevectors(prepared, features), n_classes)
