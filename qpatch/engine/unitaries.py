"""One unitary on the statevectors of all images, twice differentiable in both modes.

PyTorch's own product would copy the statevectors to conjugate them, and add the terms of a tangent after both products.
"""

from __future__ import annotations

import torch

from qpatch.engine.derivatives import last_derivative
from qpatch.engine.kept import kept


def apply_unitaries(unitaries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """``(P, N, N)`` on ``(P, B, N)`` complex: ``(P, B, N)``. Any matrices, in fact."""
    return _Product.apply(unitaries, states)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx, unitaries, states):
        ctx.save_for_backward(unitaries, states)
        ctx.save_for_forward(unitaries, states)
        return kept(torch.matmul, states, unitaries.mT)

    @staticmethod
    def jvp(ctx, unitaries_dot, states_dot):
        return _tangent(*ctx.saved_tensors, unitaries_dot, states_dot)

    @staticmethod
    def backward(ctx, cotangent):
        return _Gradient.apply(*ctx.saved_tensors, cotangent)


class _Gradient(torch.autograd.Function):
    """The gradient by unitaries and states, as a function of them and of the cotangent of their product."""

    @staticmethod
    def forward(ctx, unitaries, states, cotangent):
        ctx.save_for_backward(unitaries, states, cotangent)
        ctx.save_for_forward(unitaries, states, cotangent)
        return kept(_gradient, unitaries, states, cotangent)

    @staticmethod
    def jvp(ctx, unitaries_dot, states_dot, cotangent_dot):
        unitaries, states, cotangent = ctx.saved_tensors
        by_unitaries = (cotangent.mH @ states_dot).baddbmm_(cotangent_dot.mH, states).conj()
        return by_unitaries, (cotangent_dot @ unitaries.conj()).baddbmm_(cotangent, unitaries_dot.conj())

    @staticmethod
    def backward(ctx, along_unitaries, along_states):
        return last_derivative(_second, *ctx.saved_tensors, along_unitaries, along_states)


def _tangent(unitaries, states, unitaries_dot, states_dot):
    return (states_dot @ unitaries.mT).baddbmm_(states, unitaries_dot.mT)


def _gradient(unitaries, states, cotangent):
    return (cotangent.mH @ states).conj(), cotangent @ unitaries.conj()


def _second(unitaries, states, cotangent, along_unitaries, along_states):
    """The gradient of the gradient, which is bilinear: it has the same two forms."""
    by_unitaries, by_states = _gradient(along_unitaries, along_states, cotangent)
    return by_unitaries, by_states, _tangent(unitaries, states, along_unitaries, along_states)
