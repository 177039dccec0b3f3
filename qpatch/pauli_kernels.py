"""Pauli coefficients through stretches, compiled for a CPU, as `qpatch.blocks` does in plain PyTorch.

One stretch is one task. A rotation runs along the digits of the later qubits, so every layer rotates the earlier half
of the qubits, swaps the halves of all strings, and rotates the other half.
"""

from __future__ import annotations

import numpy as np
import torch

from qpatch import pauli
from qpatch.compiled import compiled, for_each


def sweep_down(angles: torch.Tensor, coefficients: torch.Tensor, final_ring: bool) -> torch.Tensor:
    """Pass H back through the blocks and read the gradient of every angle.

    Args:
        angles: radians, ``(batch, depth, 2, n)``.
        coefficients: of H, ``(batch, 4^n)``.
        final_ring: whether the last block has its ring.

    Returns:
        ``(batch, depth, 2, n)``.
    """
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    circle, rings, start, out = _circle(angles), _rings(angles), _plain(coefficients), gradient.numpy()
    for_each(len(out), lambda i: _sweep_down(circle[i], start[i], *rings, final_ring, out[i]))
    return gradient


def sweep_down_tangent(
    angles: torch.Tensor,
    direction: torch.Tensor,
    coefficients: torch.Tensor,
    coefficients_dot: torch.Tensor,
    final_ring: bool,
) -> torch.Tensor:
    """Derivative of `sweep_down` along a direction of the angles and of the coefficients: ``(batch, depth, 2, n)``."""
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    circle, rings, along, out = _circle(angles), _rings(angles), _plain(direction), gradient.numpy()
    duals = _plain(torch.stack([coefficients, coefficients_dot], dim=1))
    for_each(len(out), lambda i: _sweep_down_tangent(circle[i], along[i], duals[i], *rings, final_ring, out[i]))
    return gradient


def sweep_up(angles: torch.Tensor, direction: torch.Tensor, final_ring: bool) -> torch.Tensor:
    """Transpose of `sweep_down`: coefficients ``(batch, 4^n)`` of the Hermitian A with tangent(W) = -i/2 A W."""
    batch, n_qubits = len(angles), angles.shape[-1]
    coefficients = torch.zeros(batch, 4**n_qubits, dtype=angles.dtype)
    circle, rings, along, out = _circle(angles), _rings(angles), _plain(direction), coefficients.numpy()
    for_each(batch, lambda i: _sweep_up(circle[i], along[i], *rings, final_ring, out[i]))
    return coefficients


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


def _circle(angles: torch.Tensor) -> np.ndarray:
    return _plain(torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1))


def _rings(angles: torch.Tensor) -> tuple[np.ndarray, ...]:
    """Gathers: the swap of halves, the swap then the ring, the ring then the swap; and the ring's signs."""
    n_qubits = angles.shape[-1]
    permutation, signs = pauli.ring_permutation(n_qubits, angles.device)
    swap = torch.arange(4**n_qubits).reshape(2**n_qubits, 2**n_qubits).T.flatten()  # its own inverse, as the ring is
    # Unsigned, so that Numba need not look for negative indices.
    gathers = [index.numpy().astype(np.uint32) for index in (swap, swap[permutation], permutation[swap])]
    return *gathers, signs.to(angles.dtype).numpy()


@compiled
def _sweep_down(circle, start, swap, swap_ring, ring_swap, signs, final_ring, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half = n_qubits // 2
    values, swapped = np.empty_like(start), np.empty_like(start)
    _gather(start, swap, swapped)
    for block in range(depth - 1, -1, -1):
        if final_ring or block < depth - 1:
            _gather(swapped, swap_ring, values)
            for k in range(len(values)):
                values[k] *= signs[k]
        else:
            _gather(swapped, swap, values)
        for qubit in range(n_qubits):
            gradient[block, 1, qubit] = values[2 * 4 ** (n_qubits - 1 - qubit)] / 2
        for qubit in range(half):
            _rotate_down(values, circle[block], qubit, 4 ** (n_qubits - 1 - qubit))
        _gather(values, swap, swapped)
        for qubit in range(half):
            _rotate_down(swapped, circle[block], half + qubit, 4 ** (n_qubits - 1 - qubit))
        for qubit in range(n_qubits):
            gradient[block, 0, qubit] = swapped[4 ** _swapped_digit(qubit, n_qubits)] / 2


@compiled
def _sweep_down_tangent(circle, direction, start, swap, swap_ring, ring_swap, signs, final_ring, gradient):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half = n_qubits // 2
    values, swapped = np.empty_like(start), np.empty_like(start)
    for part in range(2):
        _gather(start[part], swap, swapped[part])
    for block in range(depth - 1, -1, -1):
        for part in range(2):
            if final_ring or block < depth - 1:
                _gather(swapped[part], swap_ring, values[part])
                for k in range(len(signs)):
                    values[part, k] *= signs[k]
            else:
                _gather(swapped[part], swap, values[part])
        for qubit in range(n_qubits):
            gradient[block, 1, qubit] = values[1, 2 * 4 ** (n_qubits - 1 - qubit)] / 2
        for qubit in range(half):
            _rotate_down_tangent(values, circle[block], direction[block], qubit, 4 ** (n_qubits - 1 - qubit))
        for part in range(2):
            _gather(values[part], swap, swapped[part])
        for qubit in range(half):
            _rotate_down_tangent(swapped, circle[block], direction[block], half + qubit, 4 ** (n_qubits - 1 - qubit))
        for qubit in range(n_qubits):
            gradient[block, 0, qubit] = swapped[1, 4 ** _swapped_digit(qubit, n_qubits)] / 2


@compiled
def _sweep_up(circle, direction, swap, swap_ring, ring_swap, signs, final_ring, out):
    depth, n_qubits = circle.shape[0], circle.shape[2]
    half = n_qubits // 2
    values, swapped = np.empty_like(out), np.zeros_like(out)
    for block in range(depth):
        for qubit in range(n_qubits):
            swapped[4 ** _swapped_digit(qubit, n_qubits)] += direction[block, 0, qubit]
        for qubit in range(half):
            _rotate_up(swapped, circle[block], half + qubit, 4 ** (n_qubits - 1 - qubit))
        _gather(swapped, swap, values)
        for qubit in range(half):
            _rotate_up(values, circle[block], qubit, 4 ** (n_qubits - 1 - qubit))
        for qubit in range(n_qubits):
            values[2 * 4 ** (n_qubits - 1 - qubit)] += direction[block, 1, qubit]
        if final_ring or block < depth - 1:
            for k in range(len(values)):
                values[k] *= signs[k]
            _gather(values, ring_swap, swapped)
        else:
            _gather(values, swap, swapped)
    _gather(swapped, swap, out)


@compiled
def _swapped_digit(qubit, n_qubits):
    """Place of a qubit's digit, counted from the last, in strings whose halves are swapped."""
    return (n_qubits - 1 - qubit + n_qubits // 2) % n_qubits


@compiled
def _gather(values, index, out):
    for k in range(len(out)):
        out[k] = values[index[k]]


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
