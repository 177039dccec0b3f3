"""One 2 x 2 matrix a qubit on every image's statevector, compiled for a CPU, with first and second derivatives.

Second derivatives come either way. In forward mode, dual numbers pass through the result and its gradient. In reverse,
with cotangents u of the gradient, its own gradient is a directional derivative along u: of the result, by the incoming
cotangent; of the gradient at a fixed cotangent, by gates and states. So the same kernels serve.
"""

import functools

import numpy as np
import torch

from qpatch.engine import gate_kernels
from qpatch.engine.compiled import as_real, over_images, takes
from qpatch.engine.derivatives import differentiable, last_derivative
from qpatch.engine.pauli import kron


def apply_gates(gates: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Apply one matrix a qubit to every image's statevector, ``(P, B, 2^n)``; twice differentiable.

    Gates are ``(P, n, B, 2, 2)`` complex, unitary; in second derivatives, moving among unitary ones. States are
    ``(P, B, 2^n)`` complex, or ``(P, 1, 2^n)`` shared by the images.
    """
    if takes(gates):
        return _apply(gates, states)
    return apply_gates_plainly(gates, states)


def apply_gates_plainly(gates: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """The same in plain PyTorch: two Kronecker products of half the qubits."""
    n_qubits = gates.shape[1]
    left = functools.reduce(kron, gates[:, : n_qubits // 2].unbind(1))  # (P, B, 2^(n/2), 2^(n/2))
    right = functools.reduce(kron, gates[:, n_qubits // 2 :].unbind(1))
    half = left.shape[-1]
    grid = states.reshape(*states.shape[:2], half, half)
    return (left @ grid @ right.mT).flatten(-2)


def _applied(gates, states):
    out = _like_images(states, gates)
    over_images(gate_kernels.forward, out, _as_rows(gates), as_real(states), as_real(out))
    return out


def _gradient(gates, states, cotangent):
    by_gates = torch.empty_like(gates, memory_format=torch.contiguous_format)
    by_states = _like_images(states, gates)
    arrays = _as_rows(gates), as_real(states), as_real(cotangent)
    over_images(gate_kernels.backward, by_states, *arrays, _as_rows(by_gates), as_real(by_states))
    return by_gates, by_states


def _tangent(gates, states, gates_dot, states_dot):
    out_dot = _like_images(states, gates)
    arrays = _as_rows(gates), _as_rows(gates_dot), as_real(states), as_real(states_dot), as_real(out_dot)
    over_images(gate_kernels.forward_tangent, out_dot, *arrays)
    return out_dot


def _gradient_tangent(gates, states, by_gates, by_states, gates_dot, states_dot, cotangent_dot):
    by_gates_dot, by_states_dot = torch.empty_like(by_gates), torch.empty_like(by_states)
    duals = _as_rows(gates), _as_rows(gates_dot), as_real(states), as_real(states_dot)
    gradient = _as_rows(by_gates), as_real(by_states), as_real(cotangent_dot)
    results = _as_rows(by_gates_dot), as_real(by_states_dot)
    over_images(gate_kernels.backward_tangent, by_states, *duals, *gradient, *results)
    return by_gates_dot, by_states_dot


def _second(gates, states, by_gates, by_states, along_gates, along_states):
    """The gradient of the gradient, by gates and states at a fixed cotangent, and by the cotangent."""
    if states.shape[1] == 1:  # then only the images' sum is asked for, and the direction is one for all
        along_states = along_states[:, :1]
    along, fixed = (along_gates, along_states), torch.zeros_like(by_states)
    by_gates, by_states = _gradient_tangent(gates, states, by_gates, by_states, *along, fixed)
    return by_gates, _summed(by_states, states), _tangent(gates, states, *along)


_gradient_by_image = differentiable(
    _gradient,
    _gradient_tangent,
    last_derivative(_second),
    save=lambda gates, states, cotangent, by_gates, by_states: (gates, states, by_gates, by_states),
)


def _gradient_by_state(gates, states, cotangent):
    by_gates, by_states = _gradient_by_image(gates, states, cotangent)
    return by_gates, _summed(by_states, states)


def _summed(by_states: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """Sum over the images where they share the state."""
    return by_states.sum(1, keepdim=True) if states.shape[1] == 1 else by_states


_apply = differentiable(_applied, _tangent, _gradient_by_state)


def _as_rows(gates: torch.Tensor) -> np.ndarray:
    """``(P, n, B, 2, 2)`` complex as ``(P, n, B, 4)``, the same memory where each P is contiguous."""
    return gates.detach().resolve_conj().flatten(-2).numpy()


def _like_images(states: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
    """Room for the statevector of every image."""
    return states.new_empty(gates.shape[0], gates.shape[2], states.shape[-1])
