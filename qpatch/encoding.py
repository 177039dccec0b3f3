"""One 2 x 2 matrix a qubit on every image's statevector, compiled for a CPU, with first and second derivatives.

The matrices are unitary, so nothing but the result is kept: the gradient un-applies them. With cotangents u of the
gradient, its own gradient is a directional derivative along u: of the result, by the incoming cotangent; of the
gradient at a fixed cotangent, by gates and states. So one set of dual numbers serves both.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from qpatch.compiled import as_real, compiled, join_parts, over_images, split_parts, takes
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
        out = states.new_empty(gates.shape[0], gates.shape[2], states.shape[-1])
        over_images(_forward, out, _by_image(gates), as_real(states), as_real(out))
        ctx.save_for_backward(gates, states, out)
        return out

    @staticmethod
    def backward(ctx, cotangent):
        return _ApplyGradient.apply(*ctx.saved_tensors, cotangent)


class _ApplyGradient(torch.autograd.Function):
    """The gradient by gates and states, as a function of them and of the cotangent of their product ``out``."""

    @staticmethod
    def forward(ctx, gates, states, out, cotangent):
        cotangent = cotangent.resolve_conj().contiguous()
        by_gates, by_states = _empty_by_image(gates), torch.empty_like(out)
        arrays = _by_image(gates), as_real(out), as_real(cotangent), as_real(by_gates.flatten(-2)), as_real(by_states)
        over_images(_backward, out, *arrays)
        ctx.save_for_backward(gates, states, out, cotangent)
        return by_gates.transpose(1, 2), _like(by_states, states)

    @staticmethod
    @once_differentiable
    def backward(ctx, along_gates, along_states):
        gates, states, out, cotangent = ctx.saved_tensors
        duals = _by_image(gates), _by_image(along_gates)
        out_dot, by_states = torch.empty_like(out), torch.empty_like(out)
        over_images(_forward_tangent, out, *duals, as_real(states), as_real(along_states), as_real(out_dot))
        by_gates = _empty_by_image(gates)
        arrays = as_real(out), as_real(out_dot), as_real(cotangent)
        over_images(_backward_tangent, out, *duals, *arrays, as_real(by_gates.flatten(-2)), as_real(by_states))
        return by_gates.transpose(1, 2), _like(by_states, states), None, out_dot


def _by_image(gates: torch.Tensor) -> np.ndarray:
    """``(P, n, B, 2, 2)`` complex as ``(P, B, n, 8)`` real."""
    return as_real(gates.transpose(1, 2).flatten(-2))


def _empty_by_image(gates: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(gates.transpose(1, 2), memory_format=torch.contiguous_format)


def _like(by_states: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Sum over the images where they share the state."""
    return by_states.sum(1, keepdim=True) if states.shape[1] == 1 else by_states


# The kernels hold one image: ``parts`` has the rows real, imaginary, and for tangents those of the derivative. A gate
# acts on amplitudes that are far apart only for the first half of the qubits; transposed, so are the others'.


@compiled
def _forward(gates, states, out, first, last):
    half_qubits, half = gates.shape[1] // 2, 2 ** (gates.shape[1] // 2)
    parts = np.empty((2, half * half), out.dtype)
    for image in range(first, last):
        split_parts(states[image if len(states) > 1 else 0], parts[0], parts[1])
        for side in range(2):
            for qubit in range(half_qubits):
                _apply(gates[image, side * half_qubits + qubit], 2 ** (2 * half_qubits - 1 - qubit), parts)
            _transpose(parts, half)
        join_parts(parts[0], parts[1], out[image])


@compiled
def _forward_tangent(gates, gates_dot, states, states_dot, out_dot, first, last):
    half_qubits, half = gates.shape[1] // 2, 2 ** (gates.shape[1] // 2)
    parts = np.empty((4, half * half), out_dot.dtype)
    for image in range(first, last):
        source = image if len(states) > 1 else 0
        split_parts(states[source], parts[0], parts[1])
        split_parts(states_dot[source], parts[2], parts[3])
        for side in range(2):
            for k in range(half_qubits):
                qubit, size = side * half_qubits + k, 2 ** (2 * half_qubits - 1 - k)
                _apply_tangent(gates[image, qubit], gates_dot[image, qubit], size, parts)
            _transpose(parts, half)
        join_parts(parts[2], parts[3], out_dot[image])


@compiled
def _backward(gates, out, cotangent, by_gates, by_states, first, last):
    half_qubits, half = gates.shape[1] // 2, 2 ** (gates.shape[1] // 2)
    parts, parts_c = np.empty((2, half * half), out.dtype), np.empty((2, half * half), out.dtype)
    for image in range(first, last):
        split_parts(out[image], parts[0], parts[1])
        split_parts(cotangent[image], parts_c[0], parts_c[1])
        for side in range(2):
            for k in range(half_qubits):
                qubit, size = side * half_qubits + k, 2 ** (2 * half_qubits - 1 - k)
                adjoint = _adjoint(gates[image, qubit])
                _apply(adjoint, size, parts)
                by_gates[image, qubit] = 0
                _add_outer(parts_c[0], parts_c[1], parts[0], parts[1], size, by_gates[image, qubit])
                _apply(adjoint, size, parts_c)
            _transpose(parts, half)
            _transpose(parts_c, half)
        join_parts(parts_c[0], parts_c[1], by_states[image])


@compiled
def _backward_tangent(gates, gates_dot, out, out_dot, cotangent, by_gates, by_states, first, last):
    """The derivative of `_backward` along gates and out, the cotangent being fixed."""
    half_qubits, half = gates.shape[1] // 2, 2 ** (gates.shape[1] // 2)
    parts, parts_c = np.empty((4, half * half), out.dtype), np.empty((4, half * half), out.dtype)
    for image in range(first, last):
        split_parts(out[image], parts[0], parts[1])
        split_parts(out_dot[image], parts[2], parts[3])
        split_parts(cotangent[image], parts_c[0], parts_c[1])
        parts_c[2:] = 0
        for side in range(2):
            for k in range(half_qubits):
                qubit, size = side * half_qubits + k, 2 ** (2 * half_qubits - 1 - k)
                adjoint, adjoint_dot = _adjoint(gates[image, qubit]), _adjoint(gates_dot[image, qubit])
                _apply_tangent(adjoint, adjoint_dot, size, parts)
                by_gates[image, qubit] = 0
                _add_outer(parts_c[2], parts_c[3], parts[0], parts[1], size, by_gates[image, qubit])
                _add_outer(parts_c[0], parts_c[1], parts[2], parts[3], size, by_gates[image, qubit])
                _apply_tangent(adjoint, adjoint_dot, size, parts_c)
            _transpose(parts, half)
            _transpose(parts_c, half)
        join_parts(parts_c[2], parts_c[3], by_states[image])


@compiled
def _transpose(parts, half):
    for part in parts:
        for i in range(half):
            for j in range(i):
                part[i * half + j], part[j * half + i] = part[j * half + i], part[i * half + j]


@compiled
def _adjoint(gate):
    return gate[0], -gate[1], gate[4], -gate[5], gate[2], -gate[3], gate[6], -gate[7]


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
def _apply_tangent(gate, gate_dot, size, parts):
    """Derivative rows to G d + G_dot x, then the others to G x."""
    _apply(gate, size, parts[2:])
    a, ai, b, bi, c, ci, d, di = gate_dot
    for begin in range(0, parts.shape[1], 2 * size):
        x_real, y_real = parts[0, begin : begin + size], parts[0, begin + size : begin + 2 * size]
        x_imag, y_imag = parts[1, begin : begin + size], parts[1, begin + size : begin + 2 * size]
        to_x_real, to_y_real = parts[2, begin : begin + size], parts[2, begin + size : begin + 2 * size]
        to_x_imag, to_y_imag = parts[3, begin : begin + size], parts[3, begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            to_x_real[k] += a * x - ai * xi + b * y - bi * yi
            to_x_imag[k] += a * xi + ai * x + b * yi + bi * y
            to_y_real[k] += c * x - ci * xi + d * y - di * yi
            to_y_imag[k] += c * xi + ci * x + d * yi + di * y
    _apply(gate, size, parts[:2])


@compiled
def _add_outer(left, left_imag, right, right_imag, size, total):
    """Add sum l r^* over all pairs of amplitudes: the cotangent of the gate between them, ``(8,)``."""
    ga = gai = gb = gbi = gc = gci = gd = gdi = left[0] - left[0]  # zero of the right dtype
    for begin in range(0, len(left), 2 * size):
        u_real, v_real = left[begin : begin + size], left[begin + size : begin + 2 * size]
        u_imag, v_imag = left_imag[begin : begin + size], left_imag[begin + size : begin + 2 * size]
        x_real, y_real = right[begin : begin + size], right[begin + size : begin + 2 * size]
        x_imag, y_imag = right_imag[begin : begin + size], right_imag[begin + size : begin + 2 * size]
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
    total[0] += ga
    total[1] += gai
    total[2] += gb
    total[3] += gbi
    total[4] += gc
    total[5] += gci
    total[6] += gd
    total[7] += gdi
