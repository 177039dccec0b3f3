"""A model's parameters as one flat vector: all angles, QNN after QNN, then the bias, row-major. The layout's home."""

import copy
from collections.abc import Callable

import numpy as np
import torch

from qpatch.config import RunConfig
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Epoch, Trainer, evaluate


def join(angles: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Angles ``(n_patches, n_angles_per_qnn)`` and bias ``(image_size, image_size)``, or what belongs to them, flat."""
    return torch.cat([angles.flatten(), bias.flatten()])


def split_flat(vector: torch.Tensor, config: RunConfig) -> tuple[torch.Tensor, torch.Tensor]:
    """Angles and bias of a flat vector ``(n_trainable,)``; ValueError for one of another size."""
    if vector.shape != (config.n_trainable,):
        raise ValueError(
            f"the vector has shape {tuple(vector.shape)}; the model has {config.n_angles} angles and a bias of"
            f" {config.image_size**2}: give ({config.n_trainable},)"
        )
    angles, bias = vector.split([config.n_angles, config.image_size**2])
    return angles.reshape(config.n_patches, -1), bias.reshape(config.image_size, -1)


def point_of(model: PatchQNN) -> torch.Tensor:
    """The model's parameters, ``(n_trainable,)``."""
    return join(model.angles.detach(), model.bias.detach())


def flat_parameters(model: PatchQNN) -> np.ndarray:
    """The same in float64."""
    return point_of(model).to("cpu", torch.float64).numpy()


def with_bias(angles: np.ndarray, model: PatchQNN) -> np.ndarray:
    """Points of the angles alone, ``(..., n_angles)``, with the model's bias: ``(..., n_trainable)`` float64."""
    bias = flat_parameters(model)[model.config.n_angles :]
    return np.concatenate([angles, np.broadcast_to(bias, (*angles.shape[:-1], len(bias)))], axis=-1)


def move_to(model: PatchQNN, point: np.ndarray) -> None:
    """Give the model the parameters of a flat vector, as `split_flat` takes it, rounded to its dtype."""
    angles, bias = split_flat(torch.from_numpy(np.ascontiguousarray(point)), model.config)
    with torch.no_grad():
        model.angles.copy_(angles)
        model.bias.copy_(bias)


def qnn_groups(config: RunConfig) -> dict[str, slice]:
    """The parameters of each QNN, and the bias, as slices of a flat vector."""
    size = config.n_angles_per_qnn
    groups = {f"QNN {number + 1}": slice(number * size, (number + 1) * size) for number in range(config.n_patches)}
    return groups | {"bias": slice(config.n_angles, config.n_trainable)}


def loss_at(model: PatchQNN, split: Split) -> Callable[[np.ndarray], float]:
    """The mean loss over all images of a split as a function of a flat vector; the model itself stays as it is.

    The function takes all parameters, ``(n_trainable,)``, or the angles alone, ``(n_angles,)``, with the model's bias;
    a vector of another size is a ValueError.
    """
    own, moved = copy.deepcopy(model), copy.deepcopy(model)
    split, size, whole = split.to(model.bias), model.config.n_angles, model.config.n_trainable

    def loss(point: np.ndarray) -> float:
        point = np.asarray(point)
        if point.shape not in ((size,), (whole,)):
            raise ValueError(f"a point of shape {point.shape}; give ({size},) angles or ({whole},), the bias included")
        move_to(moved, point if len(point) == whole else with_bias(point, own))
        moved.world.lead("loss", split, point=point_of(moved).cpu())
        return evaluate(moved, split)[0]

    return loss


def follow(trainer: Trainer, epochs: int) -> tuple[list[Epoch], np.ndarray]:
    """Train for some epochs: their records, the initial point first, and the path ``(epochs + 1, n)`` float64."""
    history, path = [trainer.initial()], [flat_parameters(trainer.model)]
    for _ in range(epochs):
        history.append(trainer.run_epoch()[1])
        path.append(flat_parameters(trainer.model))
    return history, np.stack(path)
