"""Curvature of one QNN's angles alone beside that of all angles: the blocks of the Hessian."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qpatch.data import Split, load_dataset
from qpatch.hessian import hessian_vector_product, power_iteration
from qpatch.model import PatchQNN
from qpatch.results import RunFolder


def block_eigenvalues(run: RunFolder, n_images: int = 1000, n_blocks: int = 4) -> tuple[int, float, float, float]:
    """Number of patches; largest eigenvalue by all angles, of the largest block, and the sum over blocks.

    At the run's best epoch, over its first training images, by the angles alone. Of many blocks only ``n_blocks``,
    evenly spaced, are computed: the largest is the largest of these, the sum is extrapolated from their mean.
    """
    model = PatchQNN(run.config)
    model.load_state_dict(run.best_parameters())
    split = load_dataset(run.config).train
    split = Split(split.images[:n_images], split.labels[:n_images])
    n_patches = run.config.n_patches
    chosen = np.unique(np.linspace(0, n_patches - 1, min(n_blocks, n_patches)).round().astype(int))
    blocks = [_largest_eigenvalue(model, split, int(block)) for block in chosen]
    return n_patches, _largest_eigenvalue(model, split), max(blocks), float(np.mean(blocks)) * n_patches


def _largest_eigenvalue(model: PatchQNN, split: Split, block: int | None = None) -> float:
    """By the angles of one QNN, the others standing still, or of all (``None``)."""
    angles = model.angles.detach()
    rows = slice(None) if block is None else slice(block, block + 1)

    def loss(free: torch.Tensor) -> torch.Tensor:
        moved = free.reshape(angles[rows].shape)
        whole = moved if block is None else torch.cat([angles[:block], moved, angles[block + 1 :]])
        logits = torch.func.functional_call(model, {"angles": whole}, split.images)
        return cross_entropy(logits, split.labels)

    point = angles[rows].flatten()
    return power_iteration(hessian_vector_product(loss, point), point, tolerance=1e-2, max_iterations=40).eigenvalue
