"""Expectation values of X and Z on single qubits, compiled for a CPU, and their gradient."""

from __future__ import annotations

import numpy as np
import torch

from qpatch import ansatz
from qpatch.compiled import as_real, compiled, join_parts, over_images, split_parts


def expectation_values(states: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Expectation value of each class's observable (`ansatz.readout`); twice differentiable.

    Args:
        states: ``(P, B, 2^n)`` complex.
        n_classes: at most 2 n.

    Returns:
        ``(P, B, n_classes)`` real, in [-1, 1].
    """
    if states.device.type == "cpu":
        return _Readout.apply(states, n_classes)
    return expectation_values_plainly(states, n_classes)


def expectation_values_plainly(states: torch.Tensor, n_classes: int) -> torch.Tensor:
    """The same in plain PyTorch: each observable, a signed permutation, times the states."""
    index = torch.arange(states.shape[-1], device=states.device)
    values = []
    for bit, is_x in _observables(states, n_classes):
        if is_x:
            values.append((states.conj() * states[..., index ^ bit]).real.sum(-1))
        else:
            values.append(((states.real**2 + states.imag**2) * (1 - 2 * ((index & bit) > 0).to(states.real))).sum(-1))
    return torch.stack(values, dim=-1)


def _observables(states: torch.Tensor, n_classes: int) -> list[tuple[int, bool]]:
    """For each class the bit of its qubit in an amplitude's index, and whether it reads X (else Z)."""
    n_qubits = states.shape[-1].bit_length() - 1
    return [(1 << (n_qubits - 1 - qubit), axis == "x") for axis, qubit in ansatz.readout(n_qubits, n_classes)]


class _Readout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, states, n_classes):
        values = torch.empty(*states.shape[:2], n_classes, dtype=states.real.dtype)
        bits, is_x = np.array(_observables(states, n_classes)).T
        _over(states, _forward, as_real(states), values.numpy(), bits=bits, is_x=is_x)
        ctx.save_for_backward(states)
        ctx.n_classes = n_classes
        return values

    @staticmethod
    def backward(ctx, cotangent):
        (states,) = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is to be differentiated again
            again = expectation_values_plainly(states, ctx.n_classes)
            return torch.autograd.grad(again, states, cotangent, create_graph=True)[0], None
        by_states = torch.empty_like(states, memory_format=torch.contiguous_format)
        bits, is_x = np.array(_observables(states, ctx.n_classes)).T
        arrays = (as_real(states), cotangent.contiguous().numpy(), as_real(by_states))
        _over(states, _backward, *arrays, bits=bits, is_x=is_x)
        return by_states, None


def _over(states, kernel, *arrays, bits, is_x):
    over_images(lambda *task: kernel(bits, is_x, *task), states, *arrays)


@compiled
def _forward(bits, is_x, states, values, first, last):
    real = np.empty(states.shape[1] // 2, states.dtype)
    imag = np.empty_like(real)
    for image in range(first, last):
        split_parts(states[image], real, imag)
        for k in range(len(bits)):
            values[image, k] = _expectation(bits[k], is_x[k], real, imag)


@compiled
def _expectation(bit, is_x, real, imag):
    total = real[0] - real[0]  # zero of the right dtype
    for begin in range(0, len(real), 2 * bit):
        x, y = real[begin : begin + bit], real[begin + bit : begin + 2 * bit]
        xi, yi = imag[begin : begin + bit], imag[begin + bit : begin + 2 * bit]
        if is_x:
            for j in range(bit):
                total += 2 * (x[j] * y[j] + xi[j] * yi[j])
        else:
            for j in range(bit):
                total += x[j] * x[j] + xi[j] * xi[j] - y[j] * y[j] - yi[j] * yi[j]
    return total


@compiled
def _backward(bits, is_x, states, cotangent, by_states, first, last):
    """The gradient of sum_k g_k <O_k> is 2 sum_k g_k O_k psi."""
    real = np.empty(states.shape[1] // 2, states.dtype)
    imag, real_sum, imag_sum = np.empty_like(real), np.empty_like(real), np.empty_like(real)
    for image in range(first, last):
        split_parts(states[image], real, imag)
        real_sum[:] = 0
        imag_sum[:] = 0
        for k in range(len(bits)):
            factor = 2 * cotangent[image, k]
            _add_observable(bits[k], is_x[k], factor, real, real_sum)
            _add_observable(bits[k], is_x[k], factor, imag, imag_sum)
        join_parts(real_sum, imag_sum, by_states[image])


@compiled
def _add_observable(bit, is_x, factor, part, total):
    for begin in range(0, len(part), 2 * bit):
        x, y = part[begin : begin + bit], part[begin + bit : begin + 2 * bit]
        of_x, of_y = total[begin : begin + bit], total[begin + bit : begin + 2 * bit]
        for j in range(bit):
            if is_x:
                of_x[j] += factor * y[j]
                of_y[j] += factor * x[j]
            else:
                of_x[j] += factor * x[j]
                of_y[j] -= factor * y[j]
