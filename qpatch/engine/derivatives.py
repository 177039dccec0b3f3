"""Functions with derivatives of their own, forwards and backwards, and where derivatives end: at the second."""

from collections.abc import Callable

import torch

from qpatch.engine.kept import kept, tensors


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

    tangent = last_derivative(tangent)

    class Function(_OneByOne):
        @staticmethod
        def forward(*inputs):
            return kept(value, *inputs)

        @staticmethod
        def setup_context(ctx, inputs, output):
            saved = inputs if save is None else save(*inputs, *tensors(output))
            ctx.save_for_backward(*saved)
            ctx.save_for_forward(*saved)

        @staticmethod
        def jvp(ctx, *tangents):
            return tangent(*ctx.saved_tensors, *tangents)

        @staticmethod
        def backward(ctx, *cotangents):
            found = tensors(gradient(*ctx.saved_tensors, *cotangents))
            return *found, *[None] * (len(ctx.needs_input_grad) - len(found))

    return Function.apply


def last_derivative(function: Callable) -> Callable:
    """The function, to a tensor or a tuple of them, inside a backward; whoever differentiates it gets an error.

    PyTorch's own `once_differentiable` raises only where the path to a leaf passes through it, and gives
    `torch.autograd.functional.hvp` silent zeros.
    """
    return lambda *inputs: _Last.apply(function, *inputs)


class _OneByOne(torch.autograd.Function):
    """Under `torch.func.vmap` the compiled code takes one member of the batch after the other."""

    @classmethod
    def vmap(cls, info, in_dims, *inputs):
        members = [
            tensors(cls.apply(*(x if d is None else x.select(d, k) for x, d in zip(inputs, in_dims, strict=True))))
            for k in range(info.batch_size)
        ]
        stacked = tuple(map(torch.stack, zip(*members, strict=True)))
        return (stacked, (0,) * len(stacked)) if len(stacked) > 1 else (stacked[0], 0)


class _Last(_OneByOne):
    @staticmethod
    def forward(function, *inputs):
        return function(*inputs)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *cotangents):
        raise RuntimeError(
            "the circuit can be differentiated twice, not a third time, nor backwards after forwards; for"
            " Hessian-vector products use double backward (qpatch.curvature.power.hessian_vector_product) or"
            " torch.func.jvp of torch.func.grad, not torch.autograd.functional.hvp"
        )
