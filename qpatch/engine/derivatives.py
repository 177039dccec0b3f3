"""Where derivatives end: the circuit can be differentiated twice."""

from __future__ import annotations

from collections.abc import Callable

import torch


def last_derivative(function: Callable, *tensors: torch.Tensor):
    """``function(*tensors)``, a tensor or a tuple of them, inside a backward; whoever differentiates it gets an error.

    PyTorch's own `once_differentiable` raises only where the path to a leaf passes through it, and gives
    `torch.autograd.functional.hvp` silent zeros.
    """
    return _Last.apply(function, *tensors)


class _Last(torch.autograd.Function):
    @staticmethod
    def forward(ctx, function, *tensors):
        return function(*tensors)

    @staticmethod
    def backward(ctx, *cotangents):
        raise RuntimeError(
            "the circuit can be differentiated twice, not a third time; for Hessian-vector products use double"
            " backward (qpatch.curvature.power.hessian_vector_product), not torch.autograd.functional.hvp"
        )
