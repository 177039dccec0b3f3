"""Derivatives of a model's mean loss over many images, in chunks that bound the memory.

The shared part C of the model (`PatchQNN.prepare`) depends on the angles alone. So a derivative over all images splits
into derivatives by C, one chunk of images after the other, and one passage through the stretches at the end, whatever
the number of chunks. A Hessian-vector product is the same computation on dual numbers: forward over reverse.
"""

from collections.abc import Callable, Sequence

import torch
from torch.autograd import forward_ad
from torch.nn.functional import cross_entropy, softmax
from tqdm import tqdm

from qpatch.curvature.products import Product
from qpatch.data import Split
from qpatch.engine.kept import Kept
from qpatch.engine.memory import free_memory
from qpatch.model.flat import join, point_of, split_flat
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import image_chunk

PRODUCT_STATES = 16  # what a product keeps of an image and its derivatives, in statevectors (measured: 16.1)
KEPT_BYTES = 2**32  # at most, for what all products at the same parameters share
KEPT_SHARE = 0.25  # at most, of the memory that is free


class LossCurvature:
    """Derivatives of the mean cross-entropy over a split, at the model's present parameters, by angles and bias.

    Vectors are flat (`qpatch.model.flat`), ``(n_trainable,)``. No weight-decay term. ``chunk`` images are taken at a
    time, by default as many as fit `training.CHUNK_BYTES`; ``progress`` shows a bar over the chunks. A frozen
    parameter (``requires_grad`` False) is a ValueError.
    """

    def __init__(self, model: PatchQNN, split: Split, chunk: int | None = None, progress: bool = False):
        self.model = model
        self.split = split.to(model.bias)
        self.chunk = chunk or image_chunk(model, PRODUCT_STATES)
        self.progress = progress
        self._kept, self._kept_at = None, None

    @property
    def point(self) -> torch.Tensor:
        """The model's present parameters, flat."""
        return point_of(self.model)

    def gradient(self) -> torch.Tensor:
        """Gradient of the mean loss, flat."""
        self._lead("gradient")
        return self.model.world.total(self._gradient(self.model.angles, None, Kept(0)))

    @property
    def hessian(self) -> Product:
        """The Hessian of the mean loss, by exact products with flat vectors."""
        return Product(self._hessian_product, self.point)

    @property
    def gauss_newton(self) -> Product:
        """The Gauss-Newton part of the Hessian: the mean of ``J^T (diag(p) - p p^T) J`` (Schraudolph, 2002).

        J is the Jacobian of an image's logits by the parameters, p their softmax.
        """
        return Product(self._gauss_newton_product, self.point)

    def _lead(self, what: str, vector: torch.Tensor | None = None) -> None:
        """Have the other processes of the model's world compute the same."""
        vector = None if vector is None else vector.cpu()
        self.model.world.lead(what, self.split, point=self.point.cpu(), vector=vector, chunk=self.chunk)

    def _hessian_product(self, vector: torch.Tensor) -> torch.Tensor:
        along_angles, along_bias = split_flat(vector.to(self.model.bias), self.model.config)
        self._lead("hessian", vector)
        moved = self._kept_at is None or self._kept_at.dtype != self.point.dtype
        if moved or not torch.equal(self._kept_at, self.point):
            self._kept = None  # what was kept elsewhere is free before room is looked for
            share = KEPT_SHARE / self.model.world.size
            room = min(KEPT_BYTES, int(share * free_memory(self.model.bias.device)))
            self._kept, self._kept_at = Kept(room), self.point
        with forward_ad.dual_level():
            angles = forward_ad.make_dual(self.model.angles, along_angles)
            return self.model.world.total(_tangent(self._gradient(angles, along_bias, self._kept)))

    def _gauss_newton_product(self, vector: torch.Tensor) -> torch.Tensor:
        along_angles, along_bias = split_flat(vector.to(self.model.bias), self.model.config)
        self._lead("gauss_newton", vector)
        with forward_ad.dual_level(), torch.no_grad():
            along = [_tangent(part) for part in self.model.prepare(_dual(self.model.angles, along_angles))]

        def pulled(leaves, images, labels):
            with forward_ad.dual_level():
                shared = prepared._make(map(_dual, leaves[:-1], along))
                logits, logits_dot = forward_ad.unpack_dual(self.model.logits(shared, _dual(images, along_bias)))
            weights = softmax(logits.detach(), dim=1)
            centred = logits_dot.detach() - (weights * logits_dot.detach()).sum(1, keepdim=True)
            return torch.autograd.grad(logits, leaves, weights * centred / len(self.split))

        prepared = self.model.prepare()
        parts = self._sum(prepared, pulled, Kept(0))
        return self.model.world.total(self._pull(self.model.angles, prepared, parts))

    def label_gradients(self) -> torch.Tensor:
        """Gradient of each class's mean logit over the images of that class, ``(n_classes, n)`` (Gur-Ari et al., 2018).

        A class without images is a ValueError.
        """
        self._lead("label_gradients")
        gradients = [self._label_gradient(label) for label in range(self.model.config.n_classes)]
        return self.model.world.total(torch.stack(gradients))

    def _label_gradient(self, label: int) -> torch.Tensor:
        chosen = self.split.labels == label
        if not chosen.any():
            raise ValueError(f"there is no image of class {label}; take more images")
        same = Split(self.split.images[chosen], self.split.labels[chosen])
        return LossCurvature(self.model, same, self.chunk)._gradient(self.model.angles, None, Kept(0), label)

    def _gradient(self, angles, along_bias, kept: Kept, label: int | None = None):
        """Gradient of the mean loss, or logit of a label; where angles are dual, along their tangent and the bias's."""

        def of_chunk(leaves, images, labels):
            images = images if along_bias is None else _dual(images, along_bias)
            logits = self.model.logits(prepared._make(leaves[:-1]), images)
            total = cross_entropy(logits, labels, reduction="sum") if label is None else logits[:, label].sum()
            return torch.autograd.grad(total / len(self.split), leaves)

        with kept.section("prepare"):
            prepared = self.model.prepare(angles)
        total = self._sum(prepared, of_chunk, kept)
        with kept.section("pull"):
            return self._pull(angles, prepared, total)

    def _sum(self, prepared, of_chunk: Callable[..., Sequence[torch.Tensor]], kept: Kept) -> list[torch.Tensor]:
        """Sum over the chunks of ``of_chunk(leaves, images, labels)``, one tensor a leaf: the parts of C, the bias."""
        if not (self.model.angles.requires_grad and self.model.bias.requires_grad):
            raise ValueError("the derivatives are by angles and bias, and one is frozen; call model.requires_grad_()")
        leaves = (*map(_leaf, prepared), self.model.bias)
        total = [torch.zeros_like(leaf) for leaf in leaves]
        starts = range(0, len(self.split), self.chunk)
        for start in tqdm(starts, disable=not self.progress, leave=False, unit="chunk"):
            chunk = slice(start, start + self.chunk)
            with kept.section(start):
                parts = of_chunk(leaves, self.split.images[chunk], self.split.labels[chunk])
            total = [accumulated + part for accumulated, part in zip(total, parts, strict=True)]
        return total

    def _pull(self, angles, prepared, cotangents) -> torch.Tensor:
        """Through the stretches to the angles, and the bias as it is: a flat vector."""
        (by_angles,) = torch.autograd.grad(prepared, angles, cotangents[:-1])
        return join(by_angles, cotangents[-1])


def _dual(primal: torch.Tensor, tangent: torch.Tensor) -> torch.Tensor:
    return forward_ad.make_dual(primal.to(tangent.dtype), tangent.expand_as(primal))


def _tangent(dual: torch.Tensor) -> torch.Tensor:
    return forward_ad.unpack_dual(dual).tangent


def _leaf(part: torch.Tensor) -> torch.Tensor:
    """The same values, tangent included, cut off from the graph, as a leaf of a new one."""
    primal, tangent = forward_ad.unpack_dual(part)
    leaf = primal.detach().requires_grad_()
    return leaf if tangent is None else forward_ad.make_dual(leaf, tangent.detach())
