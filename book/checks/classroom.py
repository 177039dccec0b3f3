"""A model small enough for class, trained in about a second: what several exercises start from."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.spectrum import extreme_eigenpairs
from qpatch.data import Dataset, load_dataset
from qpatch.model.flat import follow, move_to
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer

SMALL = {
    **{"stride": 2, "depth": 2, "n_qubits": 4, "n_classes": 4, "image_size": 8},
    **{"n_train": 500, "n_test": 100, "batch_size": 50, "epochs": 10},
}


def small_config(**changes) -> RunConfig:
    """Nine QNNs of four qubits, 500 digits of four classes, ten epochs; any field of `RunConfig` can be changed.

    Raises:
        ConfigError: a field that does not exist, or a value that cannot be run.
    """
    return RunConfig.from_dict(SMALL | changes)


@dataclass(frozen=True, eq=False)
class Trained:
    """A model at its best epoch, and how it came there.

    Attributes:
        model: at the best epoch.
        data: what it was trained on.
        losses: training loss at the start and after every epoch, ``(epochs + 1,)``.
        path: all parameters at the start and after every epoch, ``(epochs + 1, n)``.
        best: the row of the least training loss.
    """

    model: PatchQNN
    data: Dataset
    losses: np.ndarray
    path: np.ndarray
    best: int


def trained(config: RunConfig, change: float = 0.0) -> Trained:
    """Train a model by the protocol; ``change`` is added to its first angle at the start (radians).

    Raises:
        FloatingPointError: a loss is not finite.
    """
    model, data = PatchQNN(config), load_dataset(config)
    model.angles.data[0, 0] += change
    history, path = follow(Trainer(model, data), config.epochs)
    losses = np.array([epoch.train_loss for epoch in history])
    best = int(losses.argmin())
    move_to(model, path[best])
    return Trained(model, data, losses, path, best)


@functools.cache  # the check of an exercise asks for what its answer has just computed
def largest_eigenvalue(config: RunConfig) -> float:
    """Largest Hessian eigenvalue at the best epoch of a model trained by the protocol, over its training images.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    run = trained(config)
    curvature = LossCurvature(run.model, run.data.train)
    return float(extreme_eigenpairs(curvature.hessian, k=1, smallest=0, tolerance=1e-3).largest[0])
