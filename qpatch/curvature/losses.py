"""Any module with a criterion and data as a loss of a flat parameter vector, with its curvature, in chunks.

Nothing here knows the QNN, or needs more of a module than that PyTorch differentiates it twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.func import functional_call
from tqdm import tqdm

Criterion = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def check_deterministic(loss: Callable[[torch.Tensor], torch.Tensor], point: torch.Tensor) -> float:
    """The loss at a point, after two evaluations that must agree to rounding.

    Raises:
        ValueError: they differ.
        FloatingPointError: the loss is not finite.
    """
    with torch.no_grad():
        first, second = (float(loss(point)) for _ in range(2))
    if not abs(first) < float("inf"):
        raise FloatingPointError(f"the loss is {first} at the given parameters; it has no curvature there")
    if not _alike(first, second, point):
        raise ValueError(
            f"the loss is not deterministic: {first:.9g}, then {second:.9g} at the same parameters; call module.eval()"
            f" if it has dropout, and draw any random input once, before"
        )
    return first


class ModuleLoss:
    """The mean of a criterion over all images, as a function of the module's trainable parameters, and its derivatives.

    Vectors are flat: the parameters that require gradients, in `named_parameters` order, each row-major. Derivatives
    are at the module's present parameters, which stay untouched. Sums over chunks run in float64.
    """

    def __init__(
        self,
        module: nn.Module,
        criterion: Criterion,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        chunk: int | None = None,
        progress: bool = False,
    ):
        """Check that loss and data fit.

        Args:
            module: from ``(batch, ...)`` to outputs ``(batch, ...)``.
            criterion: outputs and targets to the scalar *mean* over the batch.
            inputs, targets: all images and what the criterion compares them with.
            chunk: images at a time, which bounds the memory and changes nothing else; None takes all at once.
            progress: show a progress bar over the chunks.

        Raises:
            ValueError: no data or no trainable parameter, a loss that is not deterministic, no scalar, or no mean.
            FloatingPointError: the loss of the first images is not finite.
        """
        if not len(inputs) or len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} inputs and {len(targets)} targets; give as many of both, one or more")
        if chunk is not None and chunk < 1:
            raise ValueError(f"chunks of {chunk} images; take one or more")
        self.module, self.criterion = module, criterion
        self.inputs, self.targets = inputs, targets
        self.chunk, self.progress = chunk or len(inputs), progress
        if not self._parameters():
            raise ValueError("the module has no parameter that requires a gradient")
        self._check()

    @property
    def like(self) -> torch.Tensor:
        """A flat vector of the right size, dtype and device: the parameters themselves."""
        return torch.cat([value.detach().flatten() for value in self._parameters().values()])

    def __call__(self, point: torch.Tensor) -> torch.Tensor:
        """The loss at a flat vector, differentiable; its graph then spans all images."""
        return sum(self._part(point, *batch) for batch in self._chunks())

    def gradient(self) -> torch.Tensor:
        """Gradient of the loss, flat."""
        point = self.like.requires_grad_()
        return self._sum(torch.autograd.grad(self._part(point, *batch), point)[0] for batch in self._chunks())

    def product(self, vector: torch.Tensor) -> torch.Tensor:
        """Hessian of the loss times a flat vector, by double backward (Pearlmutter, 1994)."""
        point = self.like.requires_grad_()

        def part(batch):
            (gradient,) = torch.autograd.grad(self._part(point, *batch), point, create_graph=True)
            return _derivative(gradient, point, vector)

        return self._sum(part(batch) for batch in self._chunks())

    def gauss_newton_product(self, vector: torch.Tensor) -> torch.Tensor:
        """Generalised Gauss-Newton matrix times a flat vector: ``mean of J' (Hessian of the criterion) J v``.

        J is the Jacobian of the outputs (Schraudolph, 2002). J v is the derivative of J'u by u, so that backward passes
        are enough, which every module has.
        """
        point = self.like.requires_grad_()

        def part(batch):
            inputs, targets = batch
            outputs = self.outputs(point, inputs)
            dummy = torch.zeros_like(outputs, requires_grad=True)
            (pulled,) = torch.autograd.grad(outputs, point, dummy, create_graph=True)
            along = _derivative(pulled, dummy, vector)
            leaf = outputs.detach().requires_grad_()
            loss = self.criterion(leaf, targets) * (len(inputs) / len(self.inputs))
            (slope,) = torch.autograd.grad(loss, leaf, create_graph=True)
            return torch.autograd.grad(outputs, point, _derivative(slope, leaf, along))[0]

        return self._sum(part(batch) for batch in self._chunks())

    def outputs(self, point: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """The module's outputs at a flat vector, differentiable."""
        parameters = self._parameters()
        pieces = point.split([value.numel() for value in parameters.values()])
        replaced = {name: piece.view_as(parameters[name]) for name, piece in zip(parameters, pieces, strict=True)}
        # Copies, so that running means of a module in training mode stay as they are.
        buffers = {name: value.clone() for name, value in self.module.named_buffers()}
        return functional_call(self.module, replaced | buffers, (inputs,))

    def _parameters(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self.module.named_parameters() if value.requires_grad}

    def _part(self, point, inputs, targets):
        """A chunk's contribution to the mean over all images."""
        return self.criterion(self.outputs(point, inputs), targets) * (len(inputs) / len(self.inputs))

    def _chunks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        starts = range(0, len(self.inputs), self.chunk)
        for start in tqdm(starts, disable=not self.progress, leave=False, unit="chunk"):
            yield self.inputs[start : start + self.chunk], self.targets[start : start + self.chunk]

    def _sum(self, parts: Iterator[torch.Tensor]) -> torch.Tensor:
        like = self.like
        total = torch.zeros_like(like, dtype=torch.float64)
        for part in parts:
            total += part.detach()
        return total.to(like)

    def _check(self, most: int = 64) -> None:
        """One value, the same twice, and the mean of its parts, shown on a few images."""
        inputs, targets = self.inputs[:most], self.targets[:most]
        point = self.like

        def mean(start=None, stop=None):
            value = self.criterion(self.outputs(point, inputs[start:stop]), targets[start:stop])
            if value.dim():
                raise ValueError(f"the criterion returns shape {tuple(value.shape)}; take its mean, a scalar")
            return value

        whole = check_deterministic(lambda _: mean(), point)
        cuts = (0, (len(inputs) + 2) // 3, len(inputs))
        with torch.no_grad():
            parts = [float(mean(a, b)) * (b - a) for a, b in itertools.pairwise(cuts) if b > a]
        if not _alike(sum(parts) / len(inputs), whole, point):
            raise ValueError(
                f"the loss of {len(inputs)} images is {whole:.9g}, but the mean over its parts is"
                f" {sum(parts) / len(inputs):.9g}; take a criterion that is a plain mean over the images"
                f" (reduction='mean', no class weights) and module.eval() if it has batch normalisation"
            )


def _derivative(of: torch.Tensor, by: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Gradient of ``of . along``; zeros where ``of`` does not depend on ``by``."""
    if not of.requires_grad:
        return torch.zeros_like(by)
    return torch.autograd.grad(of, by, along, materialize_grads=True)[0]


def _alike(first: float, second: float, point: torch.Tensor) -> bool:
    # Rounding of a mean is some eps; noise that matters is far above the root of it.
    return abs(first - second) <= torch.finfo(point.dtype).eps ** 0.5 * max(abs(first), abs(second), 1e-3)
