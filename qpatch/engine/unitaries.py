"""One unitary on the statevectors of all images, twice differentiable in both modes.

PyTorch's own product would copy the statevectors to conjugate them, and add the terms of a tangent after both products.
"""

import torch

from qpatch.engine.derivatives import differentiable, last_derivative


def apply_unitaries(unitaries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """``(P, N, N)`` on ``(P, B, N)`` complex: ``(P, B, N)``. Any matrices, in fact."""
    return _product(unitaries, states)


def _applied(unitaries, states):
    return states @ unitaries.mT


def _tangent(unitaries, states, unitaries_dot, states_dot):
    return (states_dot @ unitaries.mT).baddbmm_(states, unitaries_dot.mT)


def _gradient(unitaries, states, cotangent):
    return (cotangent.mH @ states).conj(), cotangent @ unitaries.conj()


def _gradient_tangent(unitaries, states, cotangent, unitaries_dot, states_dot, cotangent_dot):
    by_unitaries = (cotangent.mH @ states_dot).baddbmm_(cotangent_dot.mH, states).conj()
    return by_unitaries, (cotangent_dot @ unitaries.conj()).baddbmm_(cotangent, unitaries_dot.conj())


def _second(unitaries, states, cotangent, along_unitaries, along_states):
    """The gradient of the gradient, which is bilinear: it has the same two forms."""
    by_unitaries, by_states = _gradient(along_unitaries, along_states, cotangent)
    return by_unitaries, by_states, _tangent(unitaries, states, along_unitaries, along_states)


_product = differentiable(_applied, _tangent, differentiable(_gradient, _gradient_tangent, last_derivative(_second)))
