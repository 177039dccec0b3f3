"""One 2 x 2 matrix a qubit on every image's statevector, compiled for a CPU, with first and second derivatives.

Second derivatives come either way. In forward mode, dual numbers pass through the result and its gradient. In reverse,
with cotangents u of the gradient, its own gradient is a directional derivative along u: of the result, by the incoming
cotangent; of the gradient at a fixed cotangent, by gates and states. So the same kernels serve.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from qpatch.compiled import as_real, compiled, join_parts, over_images, split_parts, takes, transpose
from qpatch.pauli import kron


def apply_gates(gates: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Apply one matrix a qubit to every image's statevector; twice differentiable.

    Args:
        gates: ``(P, n, B, 2, 2)`` complex, unitary; in second derivatives, moving among unitary ones.
        states: ``(P, B, 2^n)`` complex, or ``(P, 1, 2^n)`` shared by the images.

    Returns:
        ``(P, B, 2^n)`` complex.
    """
    if takes(gates):
        return _Apply.apply(gates, states)
    return apply_gates_plainly(gates, states)


def apply_gates_plainly(gates: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """The same in plain PyTorch: two Kronecker products of half the qubits."""
    n_qubits = gates.shape[1]
    left = functools.reduce(kron, gates[:, : n_qubits // 2].unbind(1))  # (P, B, 2^(n/2), 2^(n/2))
    right = functools.reduce(kron, gates[:, n_qubits // 2 :].unbind(1))
    half = left.shape[-1]
    grid = states.reshape(*states.shape[:2], half, half)
    return (left @ grid @ right.mT).flatten(-2)


class _Apply(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gates, states):
        ctx.save_for_backward(gates, states)
        ctx.save_for_forward(gates, states)
        out = _like_images(states, gates)
        over_images(_forward, out, _as_rows(gates), as_real(states), as_real(out))
        return out

    @staticmethod
    def jvp(ctx, gates_dot, states_dot):
        return _tangent(*ctx.saved_tensors, gates_dot, states_dot)

    @staticmethod
    def backward(ctx, cotangent):
        return _ApplyGradient.apply(*ctx.saved_tensors, cotangent)


class _ApplyGradient(torch.autograd.Function):
    """The gradient by gates and states, as a function of them and of the cotangent of their product."""

    @staticmethod
    def forward(ctx, gates, states, cotangent):
        by_gates = torch.empty_like(gates, memory_format=torch.contiguous_format)
        by_states = _like_images(states, gates)
        arrays = _as_rows(gates), as_real(states), as_real(cotangent)
        over_images(_backward, by_states, *arrays, _as_rows(by_gates), as_real(by_states))
        ctx.save_for_backward(gates, states, by_gates, by_states)
        ctx.save_for_forward(gates, states, by_gates, by_states)
        return by_gates, _summed(by_states, states)

    @staticmethod
    def jvp(ctx, gates_dot, states_dot, cotangent_dot):
        return _gradient_tangent(*ctx.saved_tensors, gates_dot, states_dot, cotangent_dot)

    @staticmethod
    @once_differentiable
    def backward(ctx, along_gates, along_states):
        gates, states, _, by_states = ctx.saved_tensors
        fixed = torch.zeros_like(by_states)
        along = along_gates, along_states
        return *_gradient_tangent(*ctx.saved_tensors, *along, fixed), _tangent(gates, states, *along)


def _tangent(gates, states, gates_dot, states_dot):
    out_dot = _like_images(states, gates)
    arrays = _as_rows(gates), _as_rows(gates_dot), as_real(states), as_real(states_dot), as_real(out_dot)
    over_images(_forward_tangent, out_dot, *arrays)
    return out_dot


def _gradient_tangent(gates, states, by_gates, by_states, gates_dot, states_dot, cotangent_dot):
    by_gates_dot, by_states_dot = torch.empty_like(by_gates), torch.empty_like(by_states)
    duals = _as_rows(gates), _as_rows(gates_dot), as_real(states), as_real(states_dot)
    gradient = _as_rows(by_gates), as_real(by_states), as_real(cotangent_dot)
    results = _as_rows(by_gates_dot), as_real(by_states_dot)
    over_images(_backward_tangent, by_states, *duals, *gradient, *results)
    return by_gates_dot, _summed(by_states_dot, states)


def _as_rows(gates: torch.Tensor) -> np.ndarray:
    """``(P, n, B, 2, 2)`` complex as ``(P, n, B, 8)`` real, the same memory where each P is contiguous."""
    return torch.view_as_real(gates.detach().resolve_conj()).flatten(-3).numpy()


def _like_images(states: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
    """Room for the statevector of every image."""
    return states.new_empty(gates.shape[0], gates.shape[2], states.shape[-1])


def _summed(by_states: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Sum over the images where they share the state."""
    return by_states.sum(1, keepdim=True) if states.shape[1] == 1 else by_states


# The kernels hold one image, its real and imaginary parts apart. A gate acts on amplitudes that are far apart only for
# the first half of the qubits; transposed, so are the others': side 1 is the transposed one. With G' = G A, the tangent
# of the product is that of its first factors: the gates act on states' + sum_q A_q states.


@compiled
def _forward(gates, states, out, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts = np.empty((2, half * half), out.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        for side in range(2):
            for k in range(half_qubits):
                _apply(_gate(gates[side * half_qubits + k, image]), 2 ** (2 * half_qubits - 1 - k), parts)
            transpose(parts, half)
        join_parts(parts[0], parts[1], out[image])


@compiled
def _forward_tangent(gates, gates_dot, states, states_dot, out_dot, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, dots = np.empty((2, half * half), out_dot.dtype), np.empty((2, half * half), out_dot.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _read(states_dot, image, dots)
        for side in range(2):
            for k in range(half_qubits):
                gate, gate_dot = _gate(gates[side * half_qubits + k, image]), gates_dot[side * half_qubits + k, image]
                _add_applied(_times(_adjoint(gate), _gate(gate_dot)), 2 ** (2 * half_qubits - 1 - k), parts, dots)
            if side == 0:
                transpose(parts, half)
                transpose(dots, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                _apply(_gate(gates[side * half_qubits + k, image]), 2 ** (2 * half_qubits - 1 - k), dots)
            if side == 1:
                transpose(dots, half)
        join_parts(dots[0], dots[1], out_dot[image])


@compiled
def _backward(gates, states, cotangent, by_gates, by_states, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, pulled = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _pull(gates, cotangent, image, pulled)
        transpose(parts, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                qubit = side * half_qubits + k
                outer = _outer(pulled, parts, 2 ** (2 * half_qubits - 1 - k))
                _write(_times(_gate(gates[qubit, image]), outer), by_gates[qubit, image])
            if side == 1:
                transpose(parts, half)
                transpose(pulled, half)
        join_parts(pulled[0], pulled[1], by_states[image])


@compiled
def _backward_tangent(
    gates, gates_dot, states, states_dot, by_gates, by_states, cotangent_dot, by_gates_dot, by_states_dot, first, last
):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, dots = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    pulled, pulled_dots = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _read(states_dot, image, dots)
        _read(by_states, image, pulled)
        _pull(gates, cotangent_dot, image, pulled_dots)
        transpose(pulled, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                gate, gate_dot = _gate(gates[side * half_qubits + k, image]), gates_dot[side * half_qubits + k, image]
                turn = _times(_adjoint(_gate(gate_dot)), gate)
                _add_applied(turn, 2 ** (2 * half_qubits - 1 - k), pulled, pulled_dots)
            if side == 1:
                transpose(pulled, half)
                transpose(pulled_dots, half)
        join_parts(pulled_dots[0], pulled_dots[1], by_states_dot[image])
        for side in range(2):
            for k in range(half_qubits):
                qubit, size = side * half_qubits + k, 2 ** (2 * half_qubits - 1 - k)
                gate, gate_dot = _gate(gates[qubit, image]), _gate(gates_dot[qubit, image])
                outer_dot = _sum(_outer(pulled_dots, parts, size), _outer(pulled, dots, size))
                outer = _times(_adjoint(gate), _gate(by_gates[qubit, image]))
                _write(_sum(_times(gate_dot, outer), _times(gate, outer_dot)), by_gates_dot[qubit, image])
            for tensor in (parts, dots, pulled, pulled_dots):
                transpose(tensor, half)


@compiled
def _read(states, image, parts):
    split_parts(states[image if len(states) > 1 else 0], parts[0], parts[1])


@compiled
def _pull(gates, cotangent, image, parts):
    """The adjoint gates on the cotangent of one image; leaves it transposed."""
    half_qubits = gates.shape[0] // 2
    split_parts(cotangent[image], parts[0], parts[1])
    for side in range(2):
        for k in range(half_qubits):
            adjoint = _adjoint(_gate(gates[side * half_qubits + k, image]))
            _apply(adjoint, 2 ** (2 * half_qubits - 1 - k), parts)
        if side == 0:
            transpose(parts, 2**half_qubits)


@compiled
def _gate(values):
    return values[0], values[1], values[2], values[3], values[4], values[5], values[6], values[7]


@compiled
def _write(gate, values):
    for k in range(8):
        values[k] = gate[k]


@compiled
def _adjoint(gate):
    return gate[0], -gate[1], gate[4], -gate[5], gate[2], -gate[3], gate[6], -gate[7]


@compiled
def _sum(left, right):
    a, ai, b, bi, c, ci, d, di = left
    e, ei, f, fi, g, gi, h, hi = right
    return a + e, ai + ei, b + f, bi + fi, c + g, ci + gi, d + h, di + hi


@compiled
def _times(left, right):
    a, ai, b, bi, c, ci, d, di = left
    e, ei, f, fi, g, gi, h, hi = right
    return (
        a * e - ai * ei + b * g - bi * gi,
        a * ei + ai * e + b * gi + bi * g,
        a * f - ai * fi + b * h - bi * hi,
        a * fi + ai * f + b * hi + bi * h,
        c * e - ci * ei + d * g - di * gi,
        c * ei + ci * e + d * gi + di * g,
        c * f - ci * fi + d * h - di * hi,
        c * fi + ci * f + d * hi + di * h,
    )


@compiled
def _apply(gate, size, parts):
    a, ai, b, bi, c, ci, d, di = gate
    for begin in range(0, parts.shape[1], 2 * size):
        x_real, y_real = parts[0, begin : begin + size], parts[0, begin + size : begin + 2 * size]
        x_imag, y_imag = parts[1, begin : begin + size], parts[1, begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            x_real[k] = a * x - ai * xi + b * y - bi * yi
            x_imag[k] = a * xi + ai * x + b * yi + bi * y
            y_real[k] = c * x - ci * xi + d * y - di * yi
            y_imag[k] = c * xi + ci * x + d * yi + di * y


@compiled
def _add_applied(gate, size, parts, total):
    """Add G x to the total."""
    a, ai, b, bi, c, ci, d, di = gate
    for begin in range(0, parts.shape[1], 2 * size):
        x_real, y_real = parts[0, begin : begin + size], parts[0, begin + size : begin + 2 * size]
        x_imag, y_imag = parts[1, begin : begin + size], parts[1, begin + size : begin + 2 * size]
        to_x_real, to_y_real = total[0, begin : begin + size], total[0, begin + size : begin + 2 * size]
        to_x_imag, to_y_imag = total[1, begin : begin + size], total[1, begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            to_x_real[k] += a * x - ai * xi + b * y - bi * yi
            to_x_imag[k] += a * xi + ai * x + b * yi + bi * y
            to_y_real[k] += c * x - ci * xi + d * y - di * yi
            to_y_imag[k] += c * xi + ci * x + d * yi + di * y


@compiled
def _outer(left, right, size):
    """Sum of l r^dagger over all pairs of amplitudes, a 2 x 2 matrix."""
    ga = gai = gb = gbi = gc = gci = gd = gdi = left[0, 0] - left[0, 0]  # zero of the right dtype
    for begin in range(0, left.shape[1], 2 * size):
        u_real, v_real = left[0, begin : begin + size], left[0, begin + size : begin + 2 * size]
        u_imag, v_imag = left[1, begin : begin + size], left[1, begin + size : begin + 2 * size]
        x_real, y_real = right[0, begin : begin + size], right[0, begin + size : begin + 2 * size]
        x_imag, y_imag = right[1, begin : begin + size], right[1, begin + size : begin + 2 * size]
        for k in range(size):
            u, ui, v, vi = u_real[k], u_imag[k], v_real[k], v_imag[k]
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            ga += u * x + ui * xi
            gai += ui * x - u * xi
            gb += u * y + ui * yi
            gbi += ui * y - u * yi
            gc += v * x + vi * xi
            gci += vi * x - v * xi
            gd += v * y + vi * yi
            gdi += vi * y - v * yi
    return ga, gai, gb, gbi, gc, gci, gd, gdi
