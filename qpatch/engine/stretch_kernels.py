"""Statevectors through stretches, compiled for a CPU: the columns of a unitary forwards, one state backwards.

One stretch is one task.
"""

import numpy as np
import torch

from qpatch.engine.compiled import compiled, for_each

LANES = 16  # columns of a unitary that a tile holds: 2^8 amplitudes of 16 columns fill two thirds of a level-1 cache


def sweep_states(rotations: torch.Tensor, diagonals: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Apply blocks, each a diagonal and a layer of real rotations, and a last diagonal, to the columns of ``start``.

    Those are `blocks.euler_form`; the columns ``(2^n, columns)`` complex become ``(batch, 2^n, columns)``.
    """
    batch, columns = len(rotations), start.shape[1]
    lanes = min(LANES, columns)
    out = torch.empty(batch, *start.shape, dtype=start.dtype)
    plain = [torch.view_as_real(tensor.resolve_conj().contiguous()).numpy() for tensor in (diagonals, start, out)]
    angles = rotations.contiguous().numpy()
    for_each(batch, lambda index: _sweep_columns(angles[index], plain[0][index], plain[1], lanes, plain[2][index]))
    return out


@compiled
def _sweep_columns(rotations, diagonals, start, lanes, out):
    depth, n_qubits = rotations.shape[:2]
    dim, columns = start.shape[:2]
    real = np.empty(dim * lanes, out.dtype)
    imag = np.empty(dim * lanes, out.dtype)
    for first in range(0, columns, lanes):
        for row in range(dim):
            for lane in range(lanes):
                real[row * lanes + lane] = start[row, first + lane, 0]
                imag[row * lanes + lane] = start[row, first + lane, 1]
        for block in range(depth):
            _multiply_diagonal(real, imag, diagonals[block], lanes)
            size = dim * lanes
            for qubit in range(n_qubits):
                size //= 2
                cos, sin = rotations[block, qubit, 0], rotations[block, qubit, 1]
                for begin in range(0, dim * lanes, 2 * size):
                    _rotate_pair(real, begin, begin + size, size, cos, sin)
                    _rotate_pair(imag, begin, begin + size, size, cos, sin)
        _multiply_diagonal(real, imag, diagonals[depth], lanes)
        for row in range(dim):
            for lane in range(lanes):
                out[row, first + lane, 0] = real[row * lanes + lane]
                out[row, first + lane, 1] = imag[row * lanes + lane]


@compiled
def _rotate_pair(values, low, high, size, cos, sin):
    lower, upper = values[low : low + size], values[high : high + size]
    for k in range(size):
        x, y = lower[k], upper[k]
        lower[k] = cos * x - sin * y
        upper[k] = sin * x + cos * y


@compiled
def _multiply_diagonal(real, imag, diagonal, lanes):
    for row in range(len(diagonal)):
        a, b = diagonal[row, 0], diagonal[row, 1]
        reals, imags = real[row * lanes : (row + 1) * lanes], imag[row * lanes : (row + 1) * lanes]
        for k in range(lanes):
            x, y = reals[k], imags[k]
            reals[k] = a * x - b * y
            imags[k] = a * y + b * x


def state_gradient(
    circle: torch.Tensor, states: torch.Tensor, cotangents: torch.Tensor, signs: torch.Tensor
) -> torch.Tensor:
    """Gradient ``(batch, depth, 2, n)`` of the angles of stretches from a fixed state, un-applying their gates.

    Takes cosines and sines of the half angles, ``(batch, depth, 2, n, 2)`` float64, states and cotangents at the end,
    ``(batch, 2^n)`` complex128, and the diagonal of the CZ ring, ``(2^n,)`` float64.
    """
    gradient = torch.empty(circle.shape[:-1], dtype=circle.dtype)
    angles, result, ring = circle.contiguous().numpy(), gradient.numpy(), signs.numpy()
    kets, bras = (np.ascontiguousarray(tensor.resolve_conj().numpy()) for tensor in (states, cotangents))
    for_each(len(kets), lambda i: _unapply_gates(angles[i], kets[i].copy(), bras[i].copy(), ring, result[i]))
    return gradient


@compiled
def _unapply_gates(circle, ket, bra, ring, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    for block in range(depth - 1, -1, -1):
        for k in range(len(ket)):
            ket[k] *= ring[k]
            bra[k] *= ring[k]
        for qubit in range(n_qubits):
            size = 2 ** (n_qubits - 1 - qubit)
            cos_x, sin_x = circle[block, 0, qubit, 0], 1j * circle[block, 0, qubit, 1]
            cos_y, sin_y = circle[block, 1, qubit, 0], circle[block, 1, qubit, 1]
            by_x = by_y = 0.0
            for first in range(0, len(ket), 2 * size):
                for low in range(first, first + size):
                    high = low + size
                    a, b, c, d = ket[low], ket[high], bra[low], bra[high]
                    by_y += (d.conjugate() * a - c.conjugate() * b).real  # Im <bra| Y |ket>
                    a, b = cos_y * a + sin_y * b, cos_y * b - sin_y * a
                    c, d = cos_y * c + sin_y * d, cos_y * d - sin_y * c
                    by_x += (c.conjugate() * b + d.conjugate() * a).imag  # Im <bra| X |ket>
                    ket[low], ket[high] = cos_x * a + sin_x * b, cos_x * b + sin_x * a
                    bra[low], bra[high] = cos_x * c + sin_x * d, cos_x * d + sin_x * c
            gradient[block, 0, qubit], gradient[block, 1, qubit] = by_x / 2, by_y / 2
