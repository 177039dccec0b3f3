"""One 2 x 2 matrix a qubit on every image's statevector, compiled for a CPU, with its gradient by un-applying."""

from __future__ import annotations

import functools

import numpy as np
import torch

from qpatch.compiled import as_real, compiled, join_parts, over_images, split_parts
from qpatch.pauli import kron


def apply_gates(gates: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Apply one matrix a qubit to every image's statevector; twice differentiable.

    Args:
        gates: ``(P, n, B, 2, 2)`` complex; unitary where a gradient is wanted.
        states: ``(P, B, 2^n)`` complex, or ``(P, 1, 2^n)`` shared by the images.

    Returns:
        ``(P, B, 2^n)`` complex.
    """
    if gates.device.type == "cpu":
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
        n_patches, _, n_images = gates.shape[:3]
        out = states.new_empty(n_patches, n_images, states.shape[-1])
        over_images(_forward, out, _by_image(gates), as_real(states), as_real(out))
        ctx.save_for_backward(gates, states, out)
        return out

    @staticmethod
    def backward(ctx, cotangent):
        gates, states, out = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated again
            again = apply_gates_plainly(gates, states)
            return torch.autograd.grad(again, (gates, states), cotangent, create_graph=True)
        by_gates = torch.empty_like(gates.transpose(1, 2), memory_format=torch.contiguous_format)
        by_states = torch.empty_like(out)
        cotangent = cotangent.resolve_conj().contiguous()
        arrays = (
            _by_image(gates),
            as_real(out),
            as_real(cotangent),
            _by_image(by_gates.transpose(1, 2)),
            as_real(by_states),
        )
        over_images(_backward, out, *arrays)
        if states.shape[1] == 1:
            by_states = by_states.sum(1, keepdim=True)
        return by_gates.transpose(1, 2), by_states


def _by_image(gates: torch.Tensor) -> np.ndarray:
    """``(P, n, B, 2, 2)`` complex as ``(P, B, n, 8)`` real; a copy only where the memory lies otherwise."""
    return as_real(gates.transpose(1, 2).flatten(-2))


@compiled
def _forward(gates, states, out, first, last):
    half_qubits = gates.shape[1] // 2
    half = 2**half_qubits
    real, imag = np.empty(half * half, out.dtype), np.empty(half * half, out.dtype)
    real_t, imag_t = np.empty_like(real), np.empty_like(imag)
    for image in range(first, last):
        split_parts(states[image if len(states) > 1 else 0], real, imag)
        for qubit in range(half_qubits):
            _apply_one(gates[image, qubit], 2 ** (2 * half_qubits - 1 - qubit), real, imag)
        # The later qubits' amplitudes lie side by side; transposed, they are as far apart as the earlier ones'.
        _transpose(real, real_t, half)
        _transpose(imag, imag_t, half)
        for qubit in range(half_qubits):
            _apply_one(gates[image, half_qubits + qubit], 2 ** (2 * half_qubits - 1 - qubit), real_t, imag_t)
        _transpose(real_t, real, half)
        _transpose(imag_t, imag, half)
        join_parts(real, imag, out[image])


@compiled
def _backward(gates, out, cotangent, by_gates, by_states, first, last):
    half_qubits = gates.shape[1] // 2
    half = 2**half_qubits
    real, imag = np.empty(half * half, out.dtype), np.empty(half * half, out.dtype)
    real_c, imag_c = np.empty_like(real), np.empty_like(imag)
    real_t, imag_t = np.empty_like(real), np.empty_like(imag)
    real_ct, imag_ct = np.empty_like(real), np.empty_like(imag)
    for image in range(first, last):
        split_parts(out[image], real, imag)
        split_parts(cotangent[image], real_c, imag_c)
        for qubit in range(half_qubits):
            size = 2 ** (2 * half_qubits - 1 - qubit)
            _unapply_one(gates[image, qubit], size, real, imag, real_c, imag_c, by_gates[image, qubit])
        for source, target in ((real, real_t), (imag, imag_t), (real_c, real_ct), (imag_c, imag_ct)):
            _transpose(source, target, half)
        for qubit in range(half_qubits):
            size, later = 2 ** (2 * half_qubits - 1 - qubit), half_qubits + qubit
            _unapply_one(gates[image, later], size, real_t, imag_t, real_ct, imag_ct, by_gates[image, later])
        _transpose(real_ct, real_c, half)
        _transpose(imag_ct, imag_c, half)
        join_parts(real_c, imag_c, by_states[image])


@compiled
def _transpose(source, target, half):
    for i in range(half):
        row = source[i * half : (i + 1) * half]
        for j in range(half):
            target[j * half + i] = row[j]


@compiled
def _apply_one(gate, size, real, imag):
    a, ai, b, bi, c, ci, d, di = gate
    for begin in range(0, len(real), 2 * size):
        x_real, y_real = real[begin : begin + size], real[begin + size : begin + 2 * size]
        x_imag, y_imag = imag[begin : begin + size], imag[begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            x_real[k] = a * x - ai * xi + b * y - bi * yi
            x_imag[k] = a * xi + ai * x + b * yi + bi * y
            y_real[k] = c * x - ci * xi + d * y - di * yi
            y_imag[k] = c * xi + ci * x + d * yi + di * y


@compiled
def _unapply_one(gate, size, real, imag, real_c, imag_c, by_gate):
    """State and cotangent before a unitary gate, from those after it; and the cotangent of the gate."""
    a, ai, b, bi, c, ci, d, di = gate
    adjoint = np.array([a, -ai, c, -ci, b, -bi, d, -di])
    _apply_one(adjoint, size, real, imag)
    zero = real[0] - real[0]  # of the right dtype
    ga, gai, gb, gbi, gc, gci, gd, gdi = zero, zero, zero, zero, zero, zero, zero, zero
    for begin in range(0, len(real), 2 * size):
        x_real, y_real = real[begin : begin + size], real[begin + size : begin + 2 * size]
        x_imag, y_imag = imag[begin : begin + size], imag[begin + size : begin + 2 * size]
        u_real, v_real = real_c[begin : begin + size], real_c[begin + size : begin + 2 * size]
        u_imag, v_imag = imag_c[begin : begin + size], imag_c[begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            u, ui, v, vi = u_real[k], u_imag[k], v_real[k], v_imag[k]
            ga += u * x + ui * xi
            gai += ui * x - u * xi
            gb += u * y + ui * yi
            gbi += ui * y - u * yi
            gc += v * x + vi * xi
            gci += vi * x - v * xi
            gd += v * y + vi * yi
            gdi += vi * y - v * yi
    by_gate[0], by_gate[1], by_gate[2], by_gate[3] = ga, gai, gb, gbi
    by_gate[4], by_gate[5], by_gate[6], by_gate[7] = gc, gci, gd, gdi
    _apply_one(adjoint, size, real_c, imag_c)
