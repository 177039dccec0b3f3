"""The training stage: the protocol of section 3.1, with a checkpoint after each epoch."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import lazy_loader
from tqdm import tqdm

from qpatch import model
from qpatch.config import RunConfig
from qpatch.runs import provenance, published, variants
from qpatch.runs.stage import EPOCH, Outcome, Parameter, Stage

if TYPE_CHECKING:
    from qpatch.files import Kept
    from qpatch.model.training import Epoch, Trainer
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd, torch = (lazy_loader.load(name) for name in ("numpy", "pandas", "torch"))

ACCURACIES, LOSSES = ["train_accuracy", "test_accuracy"], ["train_loss", "test_loss"]


def compute(work: Work, variant: str, max_steps: int | None = None) -> Outcome | None:
    """Train to the last epoch, or for ``max_steps`` optimiser steps; those of an unfinished epoch are not kept.

    Raises:
        FloatingPointError: a loss is not finite; the last good epoch stays.
    """
    rounding = variants.VARIANTS[variant]
    work.world.lead("train", work.data.train, work.data.test, variant=variant, max_steps=max_steps)
    with rounding.applied():
        # The angles are drawn in float32 for every variant.
        qnns = model.build_model(work.run.config).to(work.device, rounding.dtype)
        qnns.world = work.world
        state = _TrainingState(model.Trainer(qnns, work.data, rounding.piece), work.progress)
        finished = state.advance(max_steps)
        return state.outcome(provenance.machine(work.device)) if finished else None


class _TrainingState:
    """A trainer, what it has produced so far, and the checkpoint that holds both in one file."""

    def __init__(self, trainer: Trainer, kept: Kept | None):
        """``kept`` is where the checkpoint lies; None in a process that does not lead."""
        self.trainer, self.kept = trainer, kept
        if state := trainer.model.world.shared(kept and kept.read("checkpoint")):
            self._resume(state)
        else:
            self.history, self.iterations = [trainer.initial()], []
            self.best = self._parameters()
            self.trajectory = [self.best]

    def advance(self, max_steps: int | None) -> bool:
        """Run the remaining epochs; whether they are done, or False where ``max_steps`` came first."""
        config, left = self.trainer.model.config, math.inf if max_steps is None else max_steps
        per_epoch = config.n_batches
        begun, silent = self.trainer.epoch * per_epoch, self.kept is None
        with tqdm(total=config.epochs * per_epoch, initial=begun, unit="step", disable=silent) as bar:
            while left and self.trainer.epoch < config.epochs:
                began = time.perf_counter()
                for iteration in self.trainer.steps():
                    self.iterations.append(iteration)
                    bar.set_postfix(loss=f"{iteration.loss:.4f}", accuracy=f"{iteration.accuracy:.3f}", refresh=False)
                    bar.update()
                    left -= 1
                    if not left and iteration.iteration + 1 < per_epoch:
                        return False
                self._close_epoch(self.trainer.finish_epoch(time.perf_counter() - began))
        return self.trainer.epoch == config.epochs

    def _close_epoch(self, epoch: Epoch) -> None:
        self.history.append(epoch)
        self.trajectory.append(self._parameters())
        if model.best_epoch(self.history) is epoch:
            self.best = self.trajectory[-1]
        tensors = self._tensors()  # of which each process has a part
        if self.kept is not None:
            self.kept.write("checkpoint", tensors)

    def outcome(self, machine: dict) -> Outcome:
        files = {
            "history.csv": pd.DataFrame(map(dataclasses.asdict, self.history)),
            "iterations.csv": pd.DataFrame(map(dataclasses.asdict, self.iterations)),
            "best.safetensors": self.best,
            "trajectory.safetensors": self._path(),
        }
        values = {"best_epoch": model.best_epoch(self.history).epoch}
        return Outcome(files, values, sum(epoch.seconds for epoch in self.history), machine)

    def _path(self) -> dict[str, torch.Tensor]:
        """Angles and bias at the start and after every epoch, flat."""
        return {name: torch.stack([point[name].flatten() for point in self.trajectory]) for name in self.best}

    def _parameters(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.trainer.model.state_dict().items()}

    def _tensors(self) -> dict[str, torch.Tensor]:
        state = {f"trainer.{key}": value for key, value in self.trainer.state_dict().items()}
        state |= {f"best.{key}": value for key, value in self.best.items()}
        rows = {"history": self.history, "iterations": self.iterations}
        for key, value in rows.items():
            state[key] = torch.tensor([dataclasses.astuple(row) for row in value], dtype=torch.float64)
        return state | {f"trajectory.{key}": value for key, value in self._path().items()}

    def _resume(self, state: dict[str, torch.Tensor]) -> None:
        prefix = "trainer."
        self.trainer.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        self.best = {key.removeprefix("best."): value for key, value in state.items() if key.startswith("best.")}
        self.history = [model.Epoch(int(number), *rest) for number, *rest in state["history"].tolist()]
        self.iterations = [model.Iteration(int(a), int(b), *rest) for a, b, *rest in state["iterations"].tolist()]
        path = {name: state[f"trajectory.{name}"] for name in self.best}
        points = zip(*path.values(), strict=True)
        self.trajectory = [dict(zip(path, point, strict=True)) for point in points]


def _cost(config: RunConfig, values: dict, seconds: Callable[[str, int], float]) -> float:
    steps = config.n_batches * seconds("step", config.batch_size)
    return config.epochs * (steps + seconds("evaluation", config.n_train) + seconds("evaluation", config.n_test))


def _problems(run: RunFolder) -> Iterator[str]:
    history, config = run.history(), run.config
    if list(history["epoch"]) != list(range(-1, config.epochs)):
        yield f"history.csv does not hold the epochs -1 to {config.epochs - 1}"
        return
    if (history[LOSSES] < 0).any(axis=None) or not history[ACCURACIES].stack().between(0, 1).all():
        yield "history.csv holds a loss below zero, or an accuracy outside 0 to 1"
    if run.record("train")["best_epoch"] != history["epoch"][history["train_loss"].idxmin()]:
        yield "best_epoch is not the epoch of least training loss"
    swing = 1 + np.cos(np.pi * np.arange(config.epochs) / config.cosine_period)  # the closed form of the annealing
    if not np.allclose(history["learning_rate"], [0.0, *(config.learning_rate / 2 * swing)], rtol=1e-9, atol=1e-15):
        yield "history.csv holds learning rates other than the cosine annealing's"
    yield from _iterations(run)


def _iterations(run: RunFolder) -> Iterator[str]:
    iterations, config = run.iterations(), run.config
    expected = list(itertools.product(range(config.epochs), range(config.n_batches)))
    if list(zip(iterations["epoch"], iterations["iteration"], strict=True)) != expected:
        yield f"iterations.csv does not hold the {config.n_batches} iterations of each of {config.epochs} epochs"
        return
    if not iterations["accuracy"].between(0, 1).all():
        yield "iterations.csv holds an accuracy outside 0 to 1"
        return
    yield from first_epoch_problems(run)


def first_epoch_problems(run: RunFolder) -> Iterator[str]:
    """What keeps a full run from the bar of the first epoch: mini-batches whose loss is not the author's."""
    if not run.config.is_paper_run:
        return
    theirs = published.of_run("first_epoch", run.config).set_index("iteration")["train_loss"]
    ours = run.iterations().query("epoch == 0").set_index("iteration")["loss"].reindex(theirs.index)
    off = (ours - theirs).abs()
    for at in theirs.index[~(off <= published.PARTED)]:
        yield (
            f"the loss of iteration {at} of epoch 0 is {ours[at]:.6g}, the author's {theirs[at]:.6g}:"
            f" they differ by more than {published.PARTED:g}"
        )


STAGE = Stage(
    name="train",
    compute=compute,
    leaves=("history.csv", "iterations.csv", "best.safetensors", "trajectory.safetensors"),
    parameters={
        "variant": Parameter(
            variants.STANDARD,
            "how the same arithmetic is rounded; the others are for qpatch replicas",
            choices=tuple(variants.VARIANTS),
            said=False,
        )
    },
    record={"best_epoch": EPOCH},
    cost=_cost,
    problems=_problems,
)
