"""Compiled sweeps of `qpatch.blocks` for a CPU: the same results as its plain PyTorch, several times faster.

One stretch is one task.
"""

from __future__ import annotations

import numpy as np
import torch

from qpatch.compiled import compiled, for_each

LANES = 16  # columns of a unitary that a tile holds: 2^8 amplitudes of 16 columns fill two thirds of a level-1 cache


# -- forward: the columns of the unitary ------------------------------------------------------------------------


def sweep_states(rotations: torch.Tensor, diagonals: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Apply blocks, each a diagonal and a layer of real rotations, and a last diagonal, to the columns of ``start``.

    Args:
        rotations: cosines and sines of the half angles, ``(batch, depth, n, 2)``.
        diagonals: ``(batch, depth + 1, 2^n)`` complex; number k comes before rotation layer k, the last after all.
        start: ``(2^n, columns)`` complex.

    Returns:
        ``(batch, 2^n, columns)`` complex.
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


# -- backward: Pauli coefficients ----------------------------------------------------------------------------------


def sweep_down(
    circle: torch.Tensor, coefficients: torch.Tensor, permutation: torch.Tensor, signs: torch.Tensor, final_ring: bool
) -> torch.Tensor:
    """Pass H back through the blocks and read the gradient of every angle, as `blocks` does in plain PyTorch.

    Args:
        circle: cosines and sines of the angles, ``(batch, depth, 2, n, 2)``.
        coefficients: of H, ``(batch, 4^n)``.
        permutation, signs: of the CZ ring on Pauli strings, ``(4^n,)``.
        final_ring: whether the last block has its ring.

    Returns:
        ``(batch, depth, 2, n)``.
    """
    gradient = torch.empty(circle.shape[:-1], dtype=circle.dtype)
    angles, values, result = circle.contiguous().numpy(), coefficients.contiguous().numpy(), gradient.numpy()
    half = 2 ** circle.shape[-2]
    swap = torch.arange(half * half).reshape(half, half).T.flatten()  # its own inverse
    # The blocks leave the halves of a string swapped; unsigned, so that Numba need not look for negative indices.
    gathers = [index.numpy().astype(np.uint32) for index in (swap, swap[permutation])]
    turned = signs.to(coefficients.dtype).numpy()
    for_each(len(values), lambda i: _sweep_strings(angles[i], values[i], *gathers, turned, final_ring, result[i]))
    return gradient


@compiled
def _sweep_strings(circle, start, swap, swap_and_ring, signs, final_ring, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half_qubits = n_qubits // 2
    values, swapped = np.empty_like(start), np.empty_like(start)
    _gather(start, swap, swapped)
    for block in range(depth - 1, -1, -1):
        if final_ring or block < depth - 1:
            _gather(swapped, swap_and_ring, values)
            for k in range(len(values)):
                values[k] *= signs[k]
        else:
            _gather(swapped, swap, values)
        for qubit in range(n_qubits):
            gradient[block, 1, qubit] = values[2 * 4 ** (n_qubits - 1 - qubit)] / 2
        # A rotation runs along the later qubits' digits, so the later half is rotated with the halves swapped.
        for qubit in range(half_qubits):
            _rotate_strings(values, circle[block], qubit, 4 ** (n_qubits - 1 - qubit))
        _gather(values, swap, swapped)
        for qubit in range(half_qubits):
            _rotate_strings(swapped, circle[block], half_qubits + qubit, 4 ** (n_qubits - 1 - qubit))
        for qubit in range(n_qubits):
            gradient[block, 0, qubit] = swapped[4 ** ((2 * n_qubits - 1 - qubit - half_qubits) % n_qubits)] / 2


@compiled
def _gather(values, index, out):
    for k in range(len(out)):
        out[k] = values[index[k]]


@compiled
def _rotate_strings(values, circle, qubit, size):
    cos_x, sin_x = circle[0, qubit, 0], circle[0, qubit, 1]
    cos_y, sin_y = circle[1, qubit, 0], circle[1, qubit, 1]
    for first in range(0, len(values), 4 * size):
        of_x = values[first + size : first + 2 * size]
        of_y = values[first + 2 * size : first + 3 * size]
        of_z = values[first + 3 * size : first + 4 * size]
        for k in range(size):
            x, y, z = of_x[k], of_y[k], of_z[k]
            turned = cos_y * z + sin_y * x
            of_x[k] = cos_y * x - sin_y * z
            of_y[k] = cos_x * y + sin_x * turned
            of_z[k] = cos_x * turned - sin_x * y
