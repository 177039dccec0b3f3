"""The distributed QNN on local patches (section 2.1): patches with a shared bias, one QNN each, averaged and scaled."""

import torch
from torch import nn

from qpatch.config import RunConfig
from qpatch.engine import circuit
from qpatch.engine.memory import keep_freed_memory
from qpatch.model.world import ALONE, World


def cut_patches(images: torch.Tensor, patch_size: int, stride: int) -> torch.Tensor:
    """Patches in row-major order, pixels flattened row-major: ``(B, h, w)`` to ``(B, n_patches, patch_size^2)``."""
    rows = images.unfold(1, patch_size, stride).unfold(2, patch_size, stride)  # (B, rows, columns, size, size)
    return rows.flatten(1, 2).flatten(2)


def initial_angles(config: RunConfig) -> torch.Tensor:
    """The author's initial angles, drawn QNN by QNN in [0, pi): ``(n_patches, n_angles_per_qnn)`` float32."""
    generator = torch.Generator().manual_seed(config.seed)
    rows = [torch.rand(config.n_angles_per_qnn, generator=generator) for _ in range(config.n_patches)]
    return torch.stack(rows) * torch.pi


class PatchQNN(nn.Module):
    """Average of one QNN a patch, as logits.

    Parameters: ``angles`` ``(n_patches, n_angles_per_qnn)`` in radians, in the author's order (`ansatz.split_angles`),
    and ``bias`` ``(image_size, image_size)``, added to the pixels before the patches are cut. float32 as the paper;
    after ``.double()`` everything runs in float64 and complex128. Of a ``world`` of processes each computes its own
    QNNs, and all have the logits.
    """

    world: World = ALONE

    def __init__(self, config: RunConfig):
        super().__init__()
        keep_freed_memory()
        self.config = config
        self.angles = nn.Parameter(self.initial(config))
        self.bias = nn.Parameter(torch.zeros(config.image_size, config.image_size))

    @staticmethod
    def initial(config: RunConfig) -> torch.Tensor:
        """What ``angles`` begin with."""
        return initial_angles(config)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, n_classes)`` of pooled and scaled images ``(B, image_size, image_size)``."""
        return self.logits(self.prepare(), images)

    def prepare(self, angles: torch.Tensor | None = None) -> circuit.Prepared:
        """What all images share, at the model's angles or at given ones: built once for many calls of `logits`."""
        return self.built((self.angles if angles is None else angles)[self.world.own])

    def built(self, angles: torch.Tensor) -> circuit.Prepared:
        """The same of these QNNs' angles."""
        return circuit.prepare(angles, self.config.n_qubits)

    def logits(self, prepared: circuit.Prepared, images: torch.Tensor) -> torch.Tensor:
        """Logits ``(B, n_classes)`` with a shared part built before."""
        outputs = self.expectations(prepared, images[self.world.images(len(images))])
        return self.config.scale * self.world.mean(outputs, len(images))

    def expectations(self, prepared: circuit.Prepared, images: torch.Tensor) -> torch.Tensor:
        """Each own QNN's expectation values: ``(n_patches, B, n_classes)`` in [-1, 1]; ValueError for other images.

        These may be of any floating-point type, or an array; the model's own type computes.
        """
        size, images = self.config.image_size, torch.as_tensor(images)
        if images.dim() != 3 or images.shape[1:] != (size, size):
            raise ValueError(f"images have shape {tuple(images.shape)}; the model takes (batch, {size}, {size})")
        if not images.is_floating_point():
            raise ValueError(f"images are of {images.dtype}; the model takes radians, as `load_dataset` makes of bytes")
        features = cut_patches(images.to(self.bias.dtype) + self.bias, self.config.patch_size, self.config.stride)
        return self.outputs(prepared, features[:, self.world.own])

    def outputs(self, prepared: circuit.Prepared, features: torch.Tensor) -> torch.Tensor:
        """The expectation values, of the patches' pixels with the bias added: ``(B, n_patches, patch_size^2)``."""
        return circuit.expectations(prepared, features, self.config.n_classes)
