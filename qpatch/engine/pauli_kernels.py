"""Pauli coefficients through stretches, compiled for a CPU, as `qpatch.engine.plain_sweeps` does in plain PyTorch.

One stretch is one task. The coefficients stand in 2^n rows, one a string of one half of the qubits, and a rotation of
a row's qubit runs along the rows. So every block rotates the half in the rows, transposes, and rotates the other; the
next begins with that one, since the ring looks the same from either half. Of the ring, gates between the halves and
within the rows move groups of lanes, the others come with the transposition. Rows are padded: at a power of two apart,
a column's entries would share one cache set.
"""

import functools
from collections.abc import Callable

import numpy as np
import torch

from qpatch import ansatz
from qpatch.engine import pauli
from qpatch.engine.compiled import compiled, for_each
from qpatch.engine.gates import constant
from qpatch.engine.vectors import LANES, move_lanes, transpose_lanes

PADDING = 16  # entries after each row


def generator_strings(matrices: torch.Tensor) -> torch.Tensor:
    """Coefficients ``(batch, 4^n)`` of H = (M - M^dagger) / 2i, the imaginary parts of `pauli.to_strings`."""
    parts = torch.view_as_real(matrices.resolve_conj()).flatten(1, 2).mT.contiguous()
    tables, strings = _entries(len(matrices[0]).bit_length() - 1, parts.dtype), torch.zeros_like(parts[:, 0])
    for_each(len(parts), lambda i: _generator_strings(parts[i].numpy(), tables, strings[i].numpy()))
    return strings


def sweep_down(angles: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """The gradient of every angle ``(batch, depth, 2, n)``, radians, from the coefficients ``(batch, 4^n)`` of H."""
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    return _swept(_sweep_down, angles, angles, coefficients.unsqueeze(1), gradient)


def sweep_down_tangent(
    angles: torch.Tensor, direction: torch.Tensor, coefficients: torch.Tensor, coefficients_dot: torch.Tensor
) -> torch.Tensor:
    """Derivative of `sweep_down` along a direction of the angles and of the coefficients: ``(batch, depth, 2, n)``."""
    gradient = torch.empty_like(angles, memory_format=torch.contiguous_format)
    return _swept(_sweep_down, angles, direction, torch.stack([coefficients, coefficients_dot], dim=1), gradient)


def sweep_up(angles: torch.Tensor, direction: torch.Tensor) -> torch.Tensor:
    """Transpose of `sweep_down`: coefficients ``(batch, 4^n)`` of the Hermitian A with tangent(W) = -i/2 A W."""
    coefficients = torch.zeros(len(angles), 4 ** angles.shape[-1], dtype=angles.dtype)
    return _swept(_sweep_up, angles, direction, coefficients)


def _swept(kernel: Callable, angles: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
    """The last tensor, filled by the kernel from the ones before."""
    circle = _plain(torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1))
    moves = _moves(angles.shape[-1], angles.dtype)
    *given, out = map(_plain, tensors)
    for_each(len(out), lambda i: kernel(circle[i], *(each[i] for each in given), moves, out[i]))
    return tensors[-1]


def _plain(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().contiguous().numpy()


@constant
def _entries(n_qubits: int, dtype: torch.dtype) -> tuple[np.ndarray, ...]:
    """Where the entry stands whose row and column bits are a string's digits; where padded rows begin, with ones; and
    what of a string's real and imaginary part, without the factor i of every Y, goes into H: ``(2, 2^n, 2^n)``."""
    dim, order = 2**n_qubits, [axis for qubit in range(n_qubits) for axis in (qubit, n_qubits + qubit)]
    places = torch.arange(dim**2).reshape([2] * (2 * n_qubits)).permute(order).reshape(dim, dim)
    phases = functools.reduce(torch.kron, [torch.tensor([1, 1, 1j, 1], dtype=dtype.to_complex())] * n_qubits)
    shares = torch.stack([phases.imag, phases.real]).reshape(2, dim, dim)
    return tuple(map(_plain, (places, torch.arange(dim) * (dim + PADDING), torch.ones(dim, dtype=dtype), shares)))


@constant
def _moves(n_qubits: int, dtype: torch.dtype) -> tuple[np.ndarray, ...]:
    """How the strings move: the plain place of each, ``(2^n, 2^n)``; the sizes that rotations of a half's qubits run
    over; where rows begin, with factors of one; where the ring's gates within a half take them, with signs; and where
    the gates on the rows' qubits take groups of lanes, with signs."""
    half, dim = n_qubits // 2, 2**n_qubits
    stored = [0, half - 1, *range(1, half - 1)][
        :half
    ]  # of each half, first the qubits that the ring joins to the other
    order = stored + [half + qubit for qubit in stored]
    plain = torch.arange(dim**2).reshape([4] * n_qubits).permute(order).reshape(dim, dim)
    sizes = torch.tensor([4 ** (half - 1 - stored.index(qubit)) * (dim + PADDING) for qubit in range(half)])
    ring = [(order.index(left), order.index(right)) for left, right in ansatz.ring(n_qubits)]
    inner, inner_signs = pauli.controlled_permutation(half, [pair for pair in ring if max(pair) < half])
    outer, outer_signs = pauli.controlled_permutation(n_qubits, [pair for pair in ring if min(pair) < half])
    rows, groups = torch.arange(dim) * (dim + PADDING), (slice(None), slice(None, None, 4 ** max(half - 2, 0)))
    outer = (rows[outer // dim] + outer % dim).reshape(dim, dim)[groups]
    signs = torch.ones(dim), inner_signs, outer_signs.reshape(dim, dim)[groups]
    ones, inner_signs, outer_signs = (each.to(dtype) for each in signs)
    return tuple(map(_plain, (plain, sizes, rows, ones, rows[inner], inner_signs, outer, outer_signs)))


@compiled
def _sweep_down(circle, direction, start, moves, gradient):
    """Of coefficients alone, or with their tangent after them, of that."""
    plain, sizes, rows, ones, inner, inner_signs, outer, outer_signs = moves
    parts, depth, half, size = len(start), len(circle), len(sizes), len(plain) * (len(plain) + PADDING)
    buffers = np.zeros((2, parts, size), start.dtype)
    values, moved = buffers[0], buffers[1]
    for part in range(parts):
        _load(start[part], plain, values[part])
    for block in range(depth - 1, -1, -1):
        first = (depth - 1 - block) % 2 * half  # of the qubits in the rows
        for part in range(parts):
            _move(values[part], outer, outer_signs, moved[part])
        _turn_down(moved, circle[block], direction[block], first, sizes, gradient[block])
        for part in range(parts):
            _transpose(moved[part], rows, ones, values[part], inner, inner_signs)
        _turn_down(values, circle[block], direction[block], half - first, sizes, gradient[block])


@compiled
def _sweep_up(circle, direction, moves, out):
    plain, sizes, rows, ones, inner, inner_signs, outer, outer_signs = moves
    depth, half, size = len(circle), len(sizes), len(plain) * (len(plain) + PADDING)
    values, moved = np.zeros(size, out.dtype), np.zeros(size, out.dtype)
    for block in range(depth):
        first = (depth - 1 - block) % 2 * half
        _turn_up(values, circle[block], direction[block], half - first, sizes)
        _transpose(values, inner, inner_signs, moved, rows, ones)
        _turn_up(moved, circle[block], direction[block], first, sizes)
        _move(moved, outer, outer_signs, values)
    for row in range(len(plain)):
        for column in range(len(plain)):
            out[plain[row, column]] = values[rows[row] + column]


@compiled
def _generator_strings(parts, tables, out):
    places, rows, ones, shares = tables
    dim, stride = len(places), len(places) + PADDING
    values, turned = np.zeros(dim * stride, out.dtype), np.zeros(dim * stride, out.dtype)
    for part in range(2):
        _load(parts[part], places, values)
        _add_pairs(values, stride)
        _transpose(values, rows, ones, turned, rows, ones)
        _add_pairs(turned, stride)
        _transpose(turned, rows, ones, values, rows, ones)
        for row in range(dim):
            for column in range(dim):
                out[row * dim + column] += shares[part, row, column] * values[row * stride + column]


@compiled
def _add_pairs(values, size):
    """Of every qubit in the rows, from its entries 00, 01, 10 and 11: I, X, Y but for the factor i, and Z."""
    while 4 * size <= len(values):
        for i in range(0, len(values), 4 * size):
            run_a, run_b = values[i : i + size], values[i + size : i + 2 * size]
            run_c, run_d = values[i + 2 * size : i + 3 * size], values[i + 3 * size : i + 4 * size]
            for k in range(size):
                a, b, c, d = run_a[k], run_b[k], run_c[k], run_d[k]
                run_a[k], run_b[k], run_c[k], run_d[k] = a + d, b + c, b - c, a - d
        size *= 4


@compiled
def _load(start, plain, values):
    stride = len(plain) + PADDING
    for row in range(len(plain)):
        for column in range(len(plain)):
            values[row * stride + column] = start[plain[row, column]]


@compiled
def _move(values, sources, signs, out):
    dim, groups = sources.shape
    lanes = dim // groups
    for row in range(dim):
        for group in range(groups):
            source, sign, place = sources[row, group], signs[row, group], row * (dim + PADDING) + group * lanes
            if lanes < LANES:
                for lane in range(lanes):
                    out[place + lane] = sign * values[source + lane]
            else:
                for lane in range(0, lanes, LANES):
                    move_lanes(values, source + lane, sign, out, place + lane)


@compiled
def _transpose(values, rows, signs, out, to_rows, to_signs):
    """Exchange rows and columns; of the given signs, a row's go with it."""
    if len(rows) < LANES:
        for i in range(len(rows)):
            for j in range(len(rows)):
                out[to_rows[j] + i] = signs[i] * to_signs[j] * values[rows[i] + j]
    for i in range(0, len(rows) - LANES + 1, LANES):
        for j in range(0, len(rows), LANES):
            transpose_lanes(values, rows[i:], signs[i:], j, out, to_rows[j:], to_signs[j:], i)


@compiled
def _turn_down(values, circle, direction, first, sizes, gradient):
    last = len(values) - 1
    for qubit, size in enumerate(sizes, first):
        gradient[1, qubit] = values[last, 2 * size] / 2
        if last:
            _rotate_down_tangent(values, circle, direction, qubit, size)
        else:
            _rotate_down(values[0], circle, qubit, size)
        gradient[0, qubit] = values[last, size] / 2


@compiled
def _turn_up(values, circle, direction, first, sizes):
    for qubit, size in enumerate(sizes, first):
        values[size] += direction[0, qubit]
        _rotate_up(values, circle, qubit, size)
        values[2 * size] += direction[1, qubit]


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
