"""A QNN model's parameters as one flat vector, angles row-major, then the bias, as `LossCurvature` has them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch

from qpatch.config import RunConfig
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Epoch, Trainer, evaluate


def flat_parameters(model: PatchQNN) -> np.ndarray:
    """The model's parameters, ``(n_angles + image_size^2,)`` float64."""
    parts = [model.angles.detach().flatten(), model.bias.detach().flatten()]
    return torch.cat(parts).to("cpu", torch.float64).numpy()


def loss_at(model: PatchQNN, split: Split) -> Callable[[np.ndarray], float]:
    """The mean loss over all images of a split as a function of a flat vector; the model itself stays as it is.

    The function takes all parameters, ``(n_angles + image_size^2,)``, or the angles alone, ``(n_angles,)``, with the
    model's bias.

    Raises:
        ValueError: (the function) a vector of another size.
    """
    moved = copy.deepcopy(model)
    split, size = split.to(moved.bias), moved.angles.numel()
    bias = moved.bias.detach().clone()

    def loss(point: np.ndarray) -> float:
        if point.shape not in ((size,), (size + bias.numel(),)):
            raise ValueError(
                f"a point of shape {point.shape}; give ({size},) angles or ({size + bias.numel()},), the bias included"
            )
        values = torch.from_numpy(np.ascontiguousarray(point)).to(bias)
        with torch.no_grad():
            moved.angles.copy_(values[:size].view_as(moved.angles))
            moved.bias.copy_(values[size:].view_as(bias) if len(values) > size else bias)
        return evaluate(moved, split)[0]

    return loss


def follow(trainer: Trainer, epochs: int) -> tuple[list[Epoch], np.ndarray]:
    """Train for some epochs: their records, the initial point first, and the path ``(epochs + 1, n)`` float64.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    history, path = [trainer.initial()], [flat_parameters(trainer.model)]
    for _ in range(epochs):
        history.append(trainer.run_epoch()[1])
        path.append(flat_parameters(trainer.model))
    return history, np.stack(path)


def qnn_groups(config: RunConfig) -> dict[str, slice]:
    """The parameters of each QNN, and the bias, as slices of a flat vector."""
    size = config.n_angles_per_qnn
    groups = {f"QNN {number + 1}": slice(number * size, (number + 1) * size) for number in range(config.n_patches)}
    return groups | {"bias": slice(config.n_angles, config.n_trainable)}
