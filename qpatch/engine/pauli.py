"""Hermitian matrices as real vectors over the 4^n Pauli strings, and how the circuit's layers move them.

A Hermitian H has the coefficients ``h_s = tr(P_s H)``; string ``s`` has one digit of {I, X, Y, Z} a qubit, qubit 0 the
most significant. In this picture a layer of single-qubit rotations is one real 3 x 3 rotation of (X, Y, Z) a qubit,
the CZ ring is a fixed signed permutation, and the derivative of a loss by a rotation's angle is a coefficient that
already stands there. `qpatch.engine.blocks` uses it for gradients whose memory does not grow with depth.
"""

import torch

from qpatch import ansatz
from qpatch.engine.gates import constant

# Rows: tr(P M) of a 2 x 2 matrix M as a linear form of (M00, M01, M10, M11), P = I, X, Y, Z.
TRACES = ((1, 0, 0, 1), (0, 1, 1, 0), (0, 1j, -1j, 0), (1, 0, 0, -1))


def to_strings(matrix: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """``tr(P_s M)``, real for Hermitian M, for every Pauli string: ``(..., 2^n, 2^n)`` to ``(..., 4^n)``, complex."""
    lead = matrix.shape[:-2]
    paired = matrix.reshape(-1, *[2] * (2 * n_qubits))
    order = [axis for qubit in range(n_qubits) for axis in (1 + qubit, 1 + n_qubits + qubit)]
    paired = paired.permute(0, *order)  # row and column bit of each qubit side by side
    traces = torch.tensor(TRACES, dtype=matrix.dtype, device=matrix.device)
    return apply_to_qubits(paired.reshape(-1, 4**n_qubits), [traces] * n_qubits).reshape(*lead, 4**n_qubits)


def from_strings(coefficients: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """The Hermitian matrix ``sum_s a_s P_s``: ``(..., 4^n)`` real to ``(..., 2^n, 2^n)`` complex."""
    lead = coefficients.shape[:-1]
    dtype = coefficients.dtype.to_complex()
    traces = torch.tensor(TRACES, dtype=dtype, device=coefficients.device)
    spread = apply_to_qubits(coefficients.to(dtype).reshape(-1, 4**n_qubits), [traces.mH.contiguous()] * n_qubits)
    order = [1 + 2 * qubit for qubit in range(n_qubits)] + [2 + 2 * qubit for qubit in range(n_qubits)]
    # P is Hermitian: its entry (r, c) is the conjugate of the factor of M_rc in tr(P M).
    return spread.reshape(-1, *[2] * (2 * n_qubits)).permute(0, *order).reshape(*lead, 2**n_qubits, 2**n_qubits)


def apply_to_qubits(vector: torch.Tensor, matrices: list[torch.Tensor]) -> torch.Tensor:
    """Apply one 4 x 4 matrix a qubit to ``(batch, 4^n)``; each matrix is ``(4, 4)`` or ``(batch, 4, 4)``.

    Neighbouring qubits are taken in pairs; each product leaves its pair last, so that all of them restore the order.
    """
    shape = vector.shape
    for first in range(0, len(matrices), 2):
        pair = kron(matrices[first], matrices[first + 1])
        vector = vector.reshape(shape[0], pair.shape[-1], -1).mT @ pair.mT
    return vector.reshape(shape)


def kron(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Kronecker product of the last two axes, batched over the others."""
    product = left[..., :, None, :, None] * right[..., None, :, None, :]
    rows, columns = left.shape[-2] * right.shape[-2], left.shape[-1] * right.shape[-1]
    return product.reshape(*product.shape[:-4], rows, columns)


def rotation(angles: torch.Tensor, axis: str) -> torch.Tensor:
    """How a rotation's conjugation, U^dagger H U, moves a qubit's coefficients (I, X, Y, Z): ``(..., 4, 4)`` real."""
    cos, sin = torch.cos(angles), torch.sin(angles)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    if axis == "x":  # Y -> cos Y + sin Z, Z -> cos Z - sin Y
        rows = [[one, zero, zero, zero], [zero, one, zero, zero], [zero, zero, cos, sin], [zero, zero, -sin, cos]]
    else:  # Z -> cos Z + sin X, X -> cos X - sin Z
        rows = [[one, zero, zero, zero], [zero, cos, zero, -sin], [zero, zero, one, zero], [zero, sin, zero, cos]]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quarter_turns(coefficients: torch.Tensor, amounts: torch.Tensor, axis: str) -> torch.Tensor:
    """Sum over the qubits of the amount ``(batch, n)`` times a rotation's derivative by its angle, where that is zero.

    Coefficients ``(batch, 4^n)``; of a qubit's letters, the axis's and I go to nothing.
    """
    plus, minus = {"x": (2, 3), "y": (3, 1)}[axis]
    total = torch.zeros_like(coefficients)
    for qubit in range(amounts.shape[1]):
        shape = len(coefficients), 4**qubit, 4, -1
        source, target = coefficients.reshape(shape), total.view(shape)
        amount = amounts[:, qubit, None, None]
        target[:, :, plus] += amount * source[:, :, minus]
        target[:, :, minus] -= amount * source[:, :, plus]
    return total


def controlled_permutation(n_qubits: int, pairs: list[tuple[int, int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """CZ gates on Pauli strings: ``D P_s D = sign_s P_s'``; returns s' ``(4^n,)`` int64 and the signs ``(4^n,)``.

    With P = i^(x.z) X^x Z^z, conjugation adds to z the x of each gate's other qubit, and the sign is (-1) to the number
    of gates with an x on either side, times i to the number of Y before minus after. It is its own inverse.
    """
    digits = torch.arange(4**n_qubits)[:, None] >> (2 * torch.arange(n_qubits - 1, -1, -1)) & 3  # (4^n, n)
    x = ((digits == 1) | (digits == 2)).long()
    z = ((digits == 2) | (digits == 3)).long()
    z_after = z.clone()
    crossings = torch.zeros(4**n_qubits, dtype=torch.long)
    for left, right in pairs:
        z_after[:, left] += x[:, right]
        z_after[:, right] += x[:, left]
        crossings += x[:, left] * x[:, right]
    z_after %= 2
    quarter_turns = 2 * crossings + (x * z).sum(1) - (x * z_after).sum(1)
    signs = 1 - (quarter_turns % 4)  # 0 -> 1, 2 -> -1
    digit_after = torch.where(x == 1, 1 + z_after, 3 * z_after)
    return (digit_after << (2 * torch.arange(n_qubits - 1, -1, -1))).sum(1), signs


@constant
def ring_permutation(n_qubits: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """The same of the whole ring, on a device."""
    return tuple(part.to(device) for part in controlled_permutation(n_qubits, ansatz.ring(n_qubits)))


def single_strings(n_qubits: int, axis: str) -> torch.Tensor:
    """Indices of the strings with one letter, X, Y or Z, on one qubit: ``(n_qubits,)``."""
    return "ixyz".index(axis) * 4 ** torch.arange(n_qubits - 1, -1, -1)
