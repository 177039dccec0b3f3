"""Pauli coefficients through stretches, compiled for a CPU, as `qpatch.engine.plain_sweeps` does in plain PyTorch.

One stretch is one task. A rotation runs along the digits of the later qubits, so every layer rotates the earlier half
of the qubits, swaps the halves of all strings, and rotates the other half. The coefficients stand in 2^n rows, one a
string of the earlier half. Rows are padded: at a power of two apart, a column's entries would share one cache set, and
the swap would take three times as long.
"""

from collections.abc import Callable

import numpy as np
import torch

from qpatch.engine import pauli
from qpatch.engine.compiled import compiled, for_each
from qpatch.engine.gates import constant

PADDING = 16  # entries after each row


def sweep_down(angles: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """The gradient of every angle ``(batch, depth, 2, n)``, radians, from the coefficients ``(batch, 4^n)`` of H."""
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    return _swept(_sweep_down, angles, coefficients, gradient)


def sweep_down_tangent(
    angles: torch.Tensor, direction: torch.Tensor, coefficients: torch.Tensor, coefficients_dot: torch.Tensor
) -> torch.Tensor:
    """Derivative of `sweep_down` along a direction of the angles and of the coefficients: ``(batch, depth, 2, n)``."""
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    duals = torch.stack([coefficients, coefficients_dot], dim=1)
    return _swept(_sweep_down_tangent, angles, direction, duals, gradient)


def sweep_up(angles: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Transpose of `sweep_down`: coefficients ``(batch, 4^n)`` of the Hermitian A with tangent(W) = -i/2 A W."""
    coefficients = torch.zeros(len(angles), 4 ** angles.shape[-1], dtype=angles.dtype)
    return _swept(_sweep_up, angles, direction, coefficients)


def _swept(kernel: Callable, angles: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
    """The last tensor, filled by the kernel from the ones before."""
    circle = _plain(torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1))
    rings = _rings(angles.shape[-1], angles.dtype)
    *given, out = map(_plain, tensors)
    for_each(len(out), lambda i: kernel(circle[i], *(each[i] for each in given), *rings, out[i]))
    return tensors[-1]


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@constant
def _rings(n_qubits: int, dtype: torch.dtype) -> tuple[np.ndarray, ...]:
    """Gathers: of the swap from plain rows; from padded ones of the swap, the swap then the ring, the ring then the
    swap; and the signs of the last two."""
    permutation, signs = pauli.ring_permutation(n_qubits, torch.device("cpu"))
    dim = 2**n_qubits
    swap = torch.arange(dim**2).reshape(dim, dim).T.flatten()  # its own inverse, as the ring is
    padded = [index // dim * (dim + PADDING) + index % dim for index in (swap, swap[permutation], permutation[swap])]
    # Unsigned, so that Numba need not look for negative indices.
    gathers = [index.numpy().astype(np.uint32).reshape(dim, dim) for index in (swap, *padded)]
    return *gathers, *(_plain(each.to(dtype).reshape(dim, dim)) for each in (signs, signs[swap]))


@compiled
def _sweep_down(circle, start, plain, swap, swap_ring, ring_swap, signs, swapped_signs, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half, stride = n_qubits // 2, len(swap) + PADDING
    values, swapped = np.zeros(len(swap) * stride, start.dtype), np.zeros(len(swap) * stride, start.dtype)
    _gather(start, plain, swapped)
    for block in range(depth - 1, -1, -1):
        _gather_signed(swapped, swap_ring, signs, values)
        for qubit in range(n_qubits):
            gradient[block, 1, qubit] = values[2 * _place(qubit, half, stride)] / 2
        for qubit in range(half):
            _rotate_down(values, circle[block], qubit, 4 ** (half - 1 - qubit) * stride)
        _gather(values, swap, swapped)
        for qubit in range(half):
            _rotate_down(swapped, circle[block], half + qubit, 4 ** (half - 1 - qubit) * stride)
        for qubit in range(n_qubits):
            gradient[block, 0, qubit] = swapped[_place((qubit + half) % n_qubits, half, stride)] / 2


@compiled
def _sweep_down_tangent(circle, direction, start, plain, swap, swap_ring, ring_swap, signs, swapped_signs, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half, stride = n_qubits // 2, len(swap) + PADDING
    values, swapped = np.zeros((2, len(swap) * stride), start.dtype), np.zeros((2, len(swap) * stride), start.dtype)
    for part in range(2):
        _gather(start[part], plain, swapped[part])
    for block in range(depth - 1, -1, -1):
        for part in range(2):
            _gather_signed(swapped[part], swap_ring, signs, values[part])
        for qubit in range(n_qubits):
            gradient[block, 1, qubit] = values[1, 2 * _place(qubit, half, stride)] / 2
        for qubit in range(half):
            _rotate_down_tangent(values, circle[block], direction[block], qubit, 4 ** (half - 1 - qubit) * stride)
        for part in range(2):
            _gather(values[part], swap, swapped[part])
        for qubit in range(half):
            size = 4 ** (half - 1 - qubit) * stride
            _rotate_down_tangent(swapped, circle[block], direction[block], half + qubit, size)
        for qubit in range(n_qubits):
            gradient[block, 0, qubit] = swapped[1, _place((qubit + half) % n_qubits, half, stride)] / 2


@compiled
def _sweep_up(circle, direction, plain, swap, swap_ring, ring_swap, signs, swapped_signs, out):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half, dim, stride = n_qubits // 2, len(swap), len(swap) + PADDING
    values, swapped = np.zeros(dim * stride, out.dtype), np.zeros(dim * stride, out.dtype)
    for block in range(depth):
        for qubit in range(n_qubits):
            swapped[_place((qubit + half) % n_qubits, half, stride)] += direction[block, 0, qubit]
        for qubit in range(half):
            _rotate_up(swapped, circle[block], half + qubit, 4 ** (half - 1 - qubit) * stride)
        _gather(swapped, swap, values)
        for qubit in range(half):
            _rotate_up(values, circle[block], qubit, 4 ** (half - 1 - qubit) * stride)
        for qubit in range(n_qubits):
            values[2 * _place(qubit, half, stride)] += direction[block, 1, qubit]
        _gather_signed(values, ring_swap, swapped_signs, swapped)
    for row in range(dim):
        for column in range(dim):
            out[column * dim + row] = swapped[row * stride + column]


@compiled
def _place(qubit, half, stride):
    """Where the string with X on one qubit stands, in padded rows; twice that is where Y does."""
    return 4 ** (half - 1 - qubit) * stride if qubit < half else 4 ** (2 * half - 1 - qubit)


@compiled
def _gather(values, index, out):
    stride = len(index) + PADDING
    for row in range(len(index)):
        for column in range(len(index)):
            out[row * stride + column] = values[index[row, column]]


@compiled
def _gather_signed(values, index, signs, out):
    stride = len(index) + PADDING
    for row in range(len(index)):
        for column in range(len(index)):
            out[row * stride + column] = values[index[row, column]] * signs[row, column]


@compiled
def _rotate_down(values, circle, qubit, size):
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


@compiled
def _rotate_down_tangent(duals, circle, direction, qubit, size):
    cos_x, sin_x, along_x = circle[0, qubit, 0], circle[0, qubit, 1], direction[0, qubit]
    cos_y, sin_y, along_y = circle[1, qubit, 0], circle[1, qubit, 1], direction[1, qubit]
    for first in range(0, duals.shape[1], 4 * size):
        of_x, of_x_dot = duals[0, first + size : first + 2 * size], duals[1, first + size : first + 2 * size]
        of_y, of_y_dot = duals[0, first + 2 * size : first + 3 * size], duals[1, first + 2 * size : first + 3 * size]
        of_z, of_z_dot = duals[0, first + 3 * size : first + 4 * size], duals[1, first + 3 * size : first + 4 * size]
        for k in range(size):
            x, y, z = of_x[k], of_y[k], of_z[k]
            x_dot, y_dot, z_dot = of_x_dot[k], of_y_dot[k], of_z_dot[k]
            turned, x_new = cos_y * z + sin_y * x, cos_y * x - sin_y * z
            y_new, z_new = cos_x * y + sin_x * turned, cos_x * turned - sin_x * y
            of_x[k], of_y[k], of_z[k] = x_new, y_new, z_new
            # The derivative of a rotation by its angle is a further quarter turn.
            turned_dot = cos_y * z_dot + sin_y * x_dot + along_y * x_new
            of_x_dot[k] = cos_y * x_dot - sin_y * z_dot - along_y * turned
            of_y_dot[k] = cos_x * y_dot + sin_x * turned_dot + along_x * z_new
            of_z_dot[k] = cos_x * turned_dot - sin_x * y_dot - along_x * y_new


@compiled
def _rotate_up(values, circle, qubit, size):
    cos_x, sin_x = circle[0, qubit, 0], circle[0, qubit, 1]
    cos_y, sin_y = circle[1, qubit, 0], circle[1, qubit, 1]
    for first in range(0, len(values), 4 * size):
        of_x = values[first + size : first + 2 * size]
        of_y = values[first + 2 * size : first + 3 * size]
        of_z = values[first + 3 * size : first + 4 * size]
        for k in range(size):
            x, y, z = of_x[k], of_y[k], of_z[k]
            turned = cos_x * z + sin_x * y
            of_y[k] = cos_x * y - sin_x * z
            of_z[k] = cos_y * turned - sin_y * x
            of_x[k] = cos_y * x + sin_y * turned
