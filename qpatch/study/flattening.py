"""The factors of the largest curvature (`qpatch.curvature.bound`) of stored runs."""

from __future__ import annotations

from qpatch.curvature.bound import Flattening, factors
from qpatch.data import load_dataset, stratified_subset
from qpatch.runs.store import RunFolder


def flattening(run: RunFolder, n_images: int = 250) -> Flattening:
    """Evaluate every quantity of the derivation at a run's best epoch, on a subset of its training images."""
    images = stratified_subset(load_dataset(run.config).train, n_images).images
    return factors(run.model(), images)
