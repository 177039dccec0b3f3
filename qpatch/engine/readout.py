"""Expectation values of X and Z on single qubits, compiled for a CPU, and their gradient."""

import numpy as np
import torch

from qpatch import ansatz
from qpatch.engine.compiled import as_real, compiled, over_images, takes
from qpatch.engine.derivatives import differentiable, last_derivative


def expectation_values(states: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Expectation values ``(P, B, n_classes)`` of the classes' observables (`ansatz.readout`); twice differentiable.

    States are ``(P, B, 2^n)`` complex, classes at most 2 n.
    """
    if takes(states):
        return _readout(states, n_classes)
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


def _bilinear(left: torch.Tensor, right: torch.Tensor, n_classes: int) -> torch.Tensor:
    """Re <left| O_k |right>: ``(P, B, n_classes)``."""
    values = torch.empty(*left.shape[:2], n_classes, dtype=left.real.dtype)
    bits, is_x = np.array(_observables(left, n_classes)).T
    arrays = as_real(left), as_real(right), values.numpy()
    over_images(lambda *task: _forward(bits, is_x, *task), left, *arrays)
    return values


def _weighted(states: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """2 sum_k weights_k O_k |states>: ``(P, B, 2^n)``."""
    result = torch.empty_like(states, memory_format=torch.contiguous_format)
    bits, is_x = np.array(_observables(states, weights.shape[-1])).T
    arrays = as_real(states), weights.detach().contiguous().numpy(), as_real(result)
    over_images(lambda *task: _backward(bits, is_x, *task), states, *arrays)
    return result


def _second(states, cotangent, along):
    """The gradient of the gradient, by states and cotangent."""
    return _weighted(along, cotangent), 2 * _bilinear(states, along, cotangent.shape[-1])


_gradient = differentiable(
    _weighted,
    tangent=lambda states, weights, dot, weights_dot: _weighted(dot, weights) + _weighted(states, weights_dot),
    gradient=last_derivative(_second),
)
_readout = differentiable(
    value=lambda states, n_classes: _bilinear(states, states, n_classes),
    tangent=lambda states, values, dot, _: 2 * _bilinear(states, dot, values.shape[-1]),
    gradient=lambda states, values, cotangent: _gradient(states, cotangent),
    save=lambda states, n_classes, values: (states, values),
)


# Each observable is real, so the kernels take real and imaginary parts alike, side by side: bits are doubled.


@compiled
def _forward(bits, is_x, left, right, values, first, last):
    for image in range(first, last):
        for k in range(len(bits)):
            values[image, k] = _real_overlap(2 * bits[k], is_x[k], left[image], right[image])


@compiled
def _real_overlap(bit, is_x, left, right):
    total = left[0] - left[0]  # zero of the right dtype
    for begin in range(0, len(left), 2 * bit):
        x, y = left[begin : begin + bit], left[begin + bit : begin + 2 * bit]
        u, v = right[begin : begin + bit], right[begin + bit : begin + 2 * bit]
        if is_x:
            for j in range(bit):
                total += x[j] * v[j] + y[j] * u[j]
        else:
            for j in range(bit):
                total += x[j] * u[j] - y[j] * v[j]
    return total


@compiled
def _backward(bits, is_x, states, cotangent, by_states, first, last):
    for image in range(first, last):
        by_states[image] = 0
        for k in range(len(bits)):
            _add_observable(2 * bits[k], is_x[k], 2 * cotangent[image, k], states[image], by_states[image])


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
