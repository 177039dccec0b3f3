"""Gradient and Hessian-vector products of a model's mean loss over many images, in chunks that bound the memory.

The shared part C of the model (`PatchQNN.prepare`) depends on the angles alone. So the Hessian over all images splits
into products by C, one chunk of images after the other, and one passage through the stretches at the end, whatever the
number of chunks.
"""

from __future__ import annotations

import torch
from torch.autograd import forward_ad
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from qpatch.data import Split
from qpatch.engine import Prepared
from qpatch.model import PatchQNN
from qpatch.training import evaluation_chunk


class LossCurvature:
    """Derivatives of the mean cross-entropy over a split, at the model's present parameters, by angles and bias.

    Vectors are flat: all angles row-major, then the bias, ``(n_angles + image_size^2,)``. No weight-decay term.
    """

    def __init__(self, model: PatchQNN, split: Split, chunk: int | None = None, progress: bool = False):
        # A product keeps some ten times the intermediates of an evaluation.
        self.model = model
        self.split = split.to(model.bias)
        self.chunk = chunk or max(1, evaluation_chunk(model) // 10)
        self.progress = progress

    @property
    def like(self) -> torch.Tensor:
        """A flat vector of the right size, dtype and device: the parameters themselves."""
        return torch.cat([self.model.angles.detach().flatten(), self.model.bias.detach().flatten()])

    def gradient(self) -> torch.Tensor:
        """Gradient of the mean loss, flat."""
        shared, bias = self._leaves()
        total = [torch.zeros_like(leaf) for leaf in (*shared, bias)]
        for images, labels in self._chunks():
            _accumulate(total, torch.autograd.grad(self._loss(shared, images, labels), (*shared, bias)))
        angles = self.model.angles
        (by_angles,) = torch.autograd.grad(self.model.prepare(), angles, total[:-1])
        return torch.cat([by_angles.flatten(), total[-1].flatten()])

    def product(self, vector: torch.Tensor) -> torch.Tensor:
        """Hessian of the mean loss times a flat vector, exactly."""
        n_angles = self.model.angles.numel()
        along_angles = vector[:n_angles].reshape(self.model.angles.shape)
        along_bias = vector[n_angles:].reshape(self.model.bias.shape)
        with forward_ad.dual_level():  # the tangent of C along the direction
            dual = forward_ad.make_dual(self.model.angles.detach(), along_angles)
            tangents = [forward_ad.unpack_dual(part).tangent for part in self.model.prepare(dual)]
        first, second = self._chunk_products((*tangents, along_bias))

        prepared = self.model.prepare()
        (pulled,) = torch.autograd.grad(prepared, self.model.angles, first[:-1], create_graph=True)
        (through_stretches,) = torch.autograd.grad(pulled, self.model.angles, along_angles, retain_graph=True)
        (through_images,) = torch.autograd.grad(prepared, self.model.angles, second[:-1])
        return torch.cat([(through_stretches + through_images).flatten(), second[-1].flatten()])

    def _chunk_products(self, tangents):
        """Gradient by (C, bias), and its derivative along their tangents, summed over the images."""
        shared, bias = self._leaves()
        leaves = (*shared, bias)
        first, second = ([torch.zeros_like(leaf) for leaf in leaves] for _ in range(2))
        for images, labels in self._chunks():
            loss = self._loss(shared, images, labels)
            gradients = torch.autograd.grad(loss, leaves, create_graph=True)
            _accumulate(first, gradients)
            _accumulate(second, torch.autograd.grad(gradients, leaves, tangents))
        return first, second

    def _leaves(self):
        with torch.no_grad():
            shared = self.model.prepare()
        shared = Prepared(*(part.detach().requires_grad_() for part in shared))
        return shared, self.model.bias

    def _loss(self, shared, images, labels):
        logits = self.model.logits(shared, images)
        return cross_entropy(logits, labels, reduction="sum") / len(self.split)

    def _chunks(self):
        starts = range(0, len(self.split), self.chunk)
        for start in tqdm(starts, disable=not self.progress, leave=False, unit="chunk"):
            yield self.split.images[start : start + self.chunk], self.split.labels[start : start + self.chunk]


def _accumulate(total, parts):
    for accumulator, part in zip(total, parts, strict=True):
        accumulator += part.detach()
