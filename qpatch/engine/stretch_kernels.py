"""Statevectors through stretches, compiled for a CPU: the columns of a unitary forwards, one state backwards.

One stretch is one task.
"""

import numpy as np
import torch

from qpatch.engine.compiled import compiled, for_each

LANES = 32  # columns of a unitary in a tile, which a level-2 cache holds: runs long enough to become vectors


def sweep_states(rotations: torch.Tensor, phases: torch.Tensor, signs: torch.Tensor, start: torch.Tensor):
    """Apply blocks, each a diagonal and a layer of real rotations, and a last diagonal, to the columns of ``start``.

    The first two are `blocks.euler_form`, then the diagonal of the CZ ring, ``(2^n,)`` float64; the columns
    ``(2^n, columns)`` complex become ``(batch, 2^n, columns)``.
    """
    batch, lanes = len(rotations), min(LANES, start.shape[1])
    out = torch.empty(batch, *start.shape, dtype=start.dtype)
    columns, swept = (torch.view_as_real(tensor).numpy() for tensor in (start.contiguous(), out))
    turns, halves, ring = rotations.contiguous().numpy(), phases.contiguous().numpy(), signs.numpy()
    for_each(batch, lambda index: _sweep_columns(turns[index], halves[index], ring, columns, lanes, swept[index]))
    return out


@compiled
def _sweep_columns(rotations, phases, ring, start, lanes, out):
    (depth, n_qubits), (dim, columns) = rotations.shape[:2], start.shape[:2]
    tangents, diagonals = np.empty((depth, n_qubits), out.dtype), np.empty((depth + 1, dim, 2), out.dtype)
    flips = _factor(rotations, phases, ring, tangents, diagonals)
    tile = np.empty(dim * 2 * lanes, out.dtype)  # of each row the real parts, then the imaginary ones
    for first in range(0, columns, lanes):
        for row in range(dim):
            for lane in range(lanes):
                tile[2 * row * lanes + lane] = start[row, first + lane, 0]
                tile[(2 * row + 1) * lanes + lane] = start[row, first + lane, 1]
        for block in range(depth):
            _multiply_diagonal(tile, diagonals[block], lanes)
            size = len(tile)
            for qubit in range(0, n_qubits - 1, 2):
                size //= 4
                _rotate_pair(tile, size, tangents[block, qubit], tangents[block, qubit + 1])
            if n_qubits % 2:
                _rotate_last(tile, size // 2, tangents[block, n_qubits - 1])
        _multiply_diagonal(tile, diagonals[depth], lanes)
        for row in range(dim):
            for lane in range(lanes):
                out[row ^ flips, first + lane, 0] = tile[2 * row * lanes + lane]
                out[row ^ flips, first + lane, 1] = tile[(2 * row + 1) * lanes + lane]


@compiled
def _factor(rotations, phases, ring, tangents, diagonals):
    """Rotations as one multiplication an amplitude, x - t y and y + t x, their cosines in the diagonals.

    Where the sine is larger, a rotation is X T Z, T as above with the cotangent: Z goes into the diagonal before it, X
    through all that follows. Returns the bits that are flipped at the end.
    """
    depth, n_qubits = tangents.shape
    values, flips = np.empty(len(ring), np.complex128), 0
    for block in range(depth + 1):
        values[0], flipped = 1, flips
        for qubit in range(n_qubits - 1, -1, -1):
            size = 2 ** (n_qubits - 1 - qubit)
            upper = phases[block, qubit].conjugate() if flipped & size else phases[block, qubit]
            lower = upper.conjugate()
            if block < depth:
                cos, sin = rotations[block, qubit, 0], rotations[block, qubit, 1]
                sign, scale = -1 if flipped & size else 1, max(cos, sin)
                tangents[block, qubit] = sign * min(cos, sin) / scale
                if sin > cos:
                    flips, scale, upper = flips ^ size, sign * scale, -upper
                lower, upper = scale * lower, scale * upper
            for k in range(size):
                values[size + k], values[k] = upper * values[k], lower * values[k]
        for k in range(len(ring)):
            sign = ring[k ^ flipped] if block else 1.0
            diagonals[block, k, 0], diagonals[block, k, 1] = sign * values[k].real, sign * values[k].imag
    return flips


@compiled
def _rotate_pair(tile, size, high, low):
    """Rotate two neighbouring qubits, the lower one's bit ``size`` apart, by their tangents."""
    for i in range(0, len(tile), 4 * size):
        run_a, run_b = tile[i : i + size], tile[i + size : i + 2 * size]
        run_c, run_d = tile[i + 2 * size : i + 3 * size], tile[i + 3 * size : i + 4 * size]
        for k in range(size):
            a, b, c, d = run_a[k], run_b[k], run_c[k], run_d[k]
            a, b, c, d = a - high * c, b - high * d, c + high * a, d + high * b
            run_a[k], run_b[k], run_c[k], run_d[k] = a - low * b, b + low * a, c - low * d, d + low * c


@compiled
def _rotate_last(tile, size, tangent):
    """Rotate the last qubit of an odd number, its bit ``size`` apart."""
    for first in range(0, len(tile), 2 * size):
        for k in range(first, first + size):
            a, b = tile[k], tile[k + size]
            tile[k], tile[k + size] = a - tangent * b, b + tangent * a


@compiled
def _multiply_diagonal(tile, diagonal, lanes):
    for row in range(len(diagonal)):
        a, b, middle = diagonal[row, 0], diagonal[row, 1], (2 * row + 1) * lanes
        reals, imags = tile[middle - lanes : middle], tile[middle : middle + lanes]
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
