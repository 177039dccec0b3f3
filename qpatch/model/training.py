"""Training by the paper's protocol (section 3.1): Adam, cosine annealing, evaluation after every epoch, resumable."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qpatch.data import Dataset, Split, stratified_batches
from qpatch.model.qnn import PatchQNN

CHUNK_BYTES = 96 * 2**20  # memory that the intermediates of a chunk of images may take
EVALUATION_STATES = 4  # what an evaluation keeps of an image, in statevectors (measured: 3.4)


@dataclass(frozen=True)
class Epoch:
    """What one epoch left behind; epoch -1 is the initial point. Losses are means over all images of a split."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Iteration:
    """Mini-batch loss and accuracy before the update."""

    epoch: int
    iteration: int
    loss: float
    accuracy: float


class Trainer:
    """A model, its optimiser and schedule, and how far they are; `state_dict` and `load_state_dict` resume exactly.

    The learning rate follows ``CosineAnnealingLR(T_max=cosine_period)``, one step an epoch and never restarted, so it
    swings with a period of ``2 cosine_period`` epochs and touches zero.

    Where the model is one of a world of processes, all call the same methods; each trains its own QNNs' angles, and
    those of the others are up to date after each epoch.
    """

    def __init__(self, model: PatchQNN, data: Dataset, piece: int | None = None):
        """``piece`` images of a mini-batch at a time, their gradients added up, which changes rounding alone."""
        config = model.config
        self.piece = piece or config.batch_size
        self.model = model
        self.train_split, self.test_split = data.train.to(model.bias), data.test.to(model.bias)
        world = model.world
        angles = model.angles if world.size == 1 else nn.Parameter(model.angles.detach()[world.own])  # the same memory
        self.own = {"angles": angles, "bias": model.bias}
        decay = config.weight_decay
        self.optimizer = torch.optim.Adam(self.own.values(), lr=config.learning_rate, weight_decay=decay)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=config.cosine_period)
        self.epoch = 0  # the next one to run

    def initial(self) -> Epoch:
        """The point before training, as epoch -1."""
        return self._evaluate(-1, 0.0, time.perf_counter())

    def run_epoch(self) -> tuple[list[Iteration], Epoch]:
        """One pass over the training images and the evaluation after it; FloatingPointError if a loss is not finite."""
        began = time.perf_counter()
        iterations = list(self.steps())
        return iterations, self.finish_epoch(time.perf_counter() - began)

    def steps(self) -> Iterator[Iteration]:
        """The optimiser steps of the epoch at hand, one an item; `finish_epoch` goes after them."""
        for number, indices in enumerate(stratified_batches(self.train_split.labels, self.model.config, self.epoch)):
            self.model.zero_grad()
            loss, correct = 0.0, 0
            for start in range(0, len(indices), self.piece):
                part, right = self._accumulate(indices[start : start + self.piece], len(indices))
                loss, correct = loss + part, correct + right
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is {loss} at epoch {self.epoch}, iteration {number}; try a smaller learning rate"
                )
            self._add_up_gradients()
            self.optimizer.step()
            yield Iteration(self.epoch, number, loss, correct / len(indices))

    def _accumulate(self, indices: torch.Tensor, batch_size: int) -> tuple[float, int]:
        """Add the gradient of some images of a mini-batch; their share of its mean loss, and how many are right."""
        images, labels = self.train_split.images[indices], self.train_split.labels[indices]
        logits = self.model(images)
        loss = cross_entropy(logits, labels) * (len(indices) / batch_size)  # times one, if these are all
        loss.backward()
        return loss.item(), int((logits.detach().argmax(1) == labels).sum())

    def _add_up_gradients(self) -> None:
        """Of a world: by the bias over all processes, by a QNN's angles over those that share its images out."""
        world, model = self.model.world, self.model
        if world.size > 1:
            world.total(model.bias.grad)
            self.own["angles"].grad = world.total(model.angles.grad[world.own], of_sharers=True)

    def finish_epoch(self, seconds: float = 0.0) -> Epoch:
        """Move the schedule on and evaluate; ``seconds`` is what the steps took."""
        began = time.perf_counter()
        rate = self.optimizer.param_groups[0]["lr"]
        self.schedule.step()
        self.epoch += 1
        if self.model.world.size > 1:
            self.model.angles.detach().copy_(self.model.world.gathered(self.own["angles"].detach()))
        return self._evaluate(self.epoch - 1, rate, began - seconds)

    def _evaluate(self, epoch: int, rate: float, began: float) -> Epoch:
        train_loss, train_accuracy = evaluate(self.model, self.train_split)
        test_loss, test_accuracy = evaluate(self.model, self.test_split)
        if not math.isfinite(train_loss + test_loss):
            raise FloatingPointError(
                f"the loss is {train_loss} over all training and {test_loss} over all test images after epoch {epoch};"
                f" try a smaller learning rate"
            )
        seconds = time.perf_counter() - began
        return Epoch(epoch, rate, train_loss, train_accuracy, test_loss, test_accuracy, seconds)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that resuming needs: parameters, Adam's moments and step, rate, epoch (random states follow from it)."""
        state = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, parameter in self.own.items():
            for key, value in self.optimizer.state[parameter].items():
                rows = name == "angles" and key != "step"
                state[f"adam.{name}.{key}"] = self.model.world.gathered(value) if rows else value
        # The recursive form of the annealing needs the rate itself, to the last bit.
        state["learning_rate"] = torch.tensor(self.optimizer.param_groups[0]["lr"], dtype=torch.float64)
        state["epoch"] = torch.tensor(self.epoch)
        return state

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Continue from a `state_dict`, bit for bit as if there had been no interruption."""
        self.model.load_state_dict({name: state[f"model.{name}"] for name in self.model.state_dict()})
        for (name, parameter), own in zip(self.own.items(), (self.model.world.own, slice(None)), strict=True):
            prefix = f"adam.{name}."
            moments = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            on_device = {key: value if key == "step" else value.to(parameter)[own] for key, value in moments.items()}
            self.optimizer.state[parameter] = on_device
        self.epoch = int(state["epoch"])
        self.schedule.last_epoch = self.epoch
        self.optimizer.param_groups[0]["lr"] = state["learning_rate"].item()


@torch.no_grad()
def evaluate(model: PatchQNN, split: Split) -> tuple[float, float]:
    """Mean cross-entropy, gathered in float64, and accuracy over a split, in chunks of images that bound the memory."""
    prepared, chunk = model.prepare(), image_chunk(model, EVALUATION_STATES)
    loss, correct = 0.0, 0
    for images, labels in zip(split.images.split(chunk), split.labels.split(chunk), strict=True):
        logits = model.logits(prepared, images)
        loss += cross_entropy(logits, labels, reduction="none").double().sum().item()
        correct += (logits.argmax(1) == labels).sum().item()
    return loss / len(split), correct / len(split)


def image_chunk(model: PatchQNN, statevectors: int) -> int:
    """Images at a time so that ``statevectors`` of every QNN and image fit `CHUNK_BYTES`."""
    n_patches = -(-model.config.n_patches // model.world.size)  # of one process, at most
    numbers = statevectors * n_patches * 2**model.config.n_qubits
    return max(1, CHUNK_BYTES // (numbers * model.angles.dtype.to_complex().itemsize))


def best_epoch(history: list[Epoch]) -> Epoch:
    """The epoch of least full training loss, the initial point included; of equals, the first."""
    return min(history, key=lambda epoch: epoch.train_loss)
