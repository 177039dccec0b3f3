"""Functions with derivatives of their own, forwards and backwards, and where derivatives end: at the second."""

from collections.abc import Callable

import torch

from qpatch.engine.kept import kept


def differentiable(value: Callable, tangent: Callable, gradient: Callable, save: Callable | None = None) -> Callable:
    """A function of tensors that autograd differentiates by the given rules, in both modes.

    Twice differentiable where ``gradient`` is such a function itself, whose own gradient is a `last_derivative`.

    Args:
        value: of the inputs, a tensor or a tuple of them; kept from pass to pass (`kept`).
        tangent: of what is saved, then the inputs' tangents: the outputs' tangents.
        gradient: of what is saved, then the outputs' cotangents: one cotangent an input; those that are left out at
            the end have none.
        save: of the inputs, then the outputs: the tensors that the rules take; by default the inputs.
    """

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *inputs):
            result = kept(value, *inputs)
            outputs = (result,) if isinstance(result, torch.Tensor) else result
            saved = inputs if save is None else save(*inputs, *outputs)
            ctx.save_for_backward(*saved)
            ctx.save_for_forward(*saved)
            return result

        @staticmethod
        def jvp(ctx, *tangents):
            return tangent(*ctx.saved_tensors, *tangents)

        @staticmethod
        def backward(ctx, *cotangents):
            result = gradient(*ctx.saved_tensors, *cotangents)
            found = (result,) if isinstance(result, torch.Tensor) else result
            return *found, *[None] * (len(ctx.needs_input_grad) - len(found))

    return Function.apply


def last_derivative(function: Callable) -> Callable:
    """The function, to a tensor or a tuple of them, inside a backward; whoever differentiates it gets an error.

    PyTorch's own `once_differentiable` raises only where the path to a leaf passes through it, and gives
    `torch.autograd.functional.hvp` silent zeros.
    """
    return lambda *tensors: _Last.apply(function, *tensors)


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
