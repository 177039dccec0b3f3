"""Stages of a run, each from its inputs in a `RunFolder` to its record: train, hessian, landscape.

The others are in `spectra` and `slices`. The parameterised notebooks call them. Each stage keeps its progress, so
that a killed one goes on where it was.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import power_iteration
from qpatch.curvature.products import KeptProducts
from qpatch.data import Dataset, load_dataset, stratified_subset
from qpatch.files import read_tensors
from qpatch.landscape.grid import evaluate_grid, grid_axes
from qpatch.landscape.planes import pca_plane
from qpatch.model.flat import loss_at
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Epoch, Iteration, Trainer, best_epoch
from qpatch.runs.device import choose_device
from qpatch.runs.provenance import machine
from qpatch.runs.rows import GridRows
from qpatch.runs.store import ResultError, RunFolder
from qpatch.runs.variants import STANDARD, find_variant


@dataclass(frozen=True)
class Training:
    """What `train` has reached: the history so far, and whether all epochs are done and the run's stage is closed."""

    run: RunFolder
    history: list[Epoch]
    iterations: list[Iteration]
    finished: bool


def train(
    config: RunConfig,
    device: str = "auto",
    data: Dataset | None = None,
    max_steps: int | None = None,
    variant: str = STANDARD,
) -> Training:
    """Train by the protocol, with a checkpoint after each epoch; a later call goes on from the last one, bit for bit.

    Args:
        config: the run.
        device: as `choose_device`.
        data: instead of `load_dataset` of the configuration.
        max_steps: stop after so many optimiser steps of this call; steps of an unfinished epoch are not kept.
        variant: how the same arithmetic is rounded, of `qpatch.runs.variants.VARIANTS`.

    Raises:
        ValueError: an unknown variant, or ``max_steps`` below one.
        FloatingPointError: a loss is not finite; the last good epoch stays.
        ResultError: another process trains this run, its checkpoint is of another variant, or its folder cannot be
            written.
    """
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}; take one or more, or None for all")
    run = RunFolder(config)
    target, rounding = choose_device(device), find_variant(variant)
    with run.locked(), rounding.applied():
        model = PatchQNN(config).to(target, rounding.dtype)  # the angles are drawn in float32 for every variant
        state = _TrainingState(run, Trainer(model, data or load_dataset(config), rounding.piece), variant)
        finished = state.advance(max_steps)
        if finished:
            state.finish(machine(target), {} if variant == STANDARD else {"variant": variant})
    return Training(run, state.history, state.iterations, finished)


class _TrainingState:
    """A trainer, what it has produced so far, and the checkpoint that holds both in one file."""

    def __init__(self, run: RunFolder, trainer: Trainer, variant: str):
        self.run, self.trainer, self.variant = run, trainer, variant
        self.file = run.file("checkpoint.safetensors")
        if self.file.exists():
            self._resume(read_tensors(self.file))
        else:
            self.history, self.iterations = [trainer.initial()], []
            self.trajectory = [self._angles()]
            self.best = self._parameters()

    def advance(self, max_steps: int | None) -> bool:
        """Run the remaining epochs; whether they are done, or False where ``max_steps`` came first."""
        config, left = self.trainer.model.config, math.inf if max_steps is None else max_steps
        per_epoch = config.n_batches
        bar = tqdm(total=config.epochs * per_epoch, initial=self.trainer.epoch * per_epoch, unit="step")
        with bar:
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
        self.trajectory.append(self._angles())
        if best_epoch(self.history) is epoch:
            self.best = self._parameters()
        self.run.write_tensors(self.file.name, self._tensors())

    def finish(self, machine: dict, parameters: dict) -> None:
        best = best_epoch(self.history)
        self.run.reopen("train")
        self.run.write_csv("history.csv", pd.DataFrame(map(dataclasses.asdict, self.history)))
        self.run.write_csv("iterations.csv", pd.DataFrame(map(dataclasses.asdict, self.iterations)))
        self.run.write_tensors("best.safetensors", self.best)
        self.run.write_tensors("trajectory.safetensors", {"angles": torch.stack(self.trajectory)})
        seconds = sum(epoch.seconds for epoch in self.history)
        self.run.write_record("train", parameters, seconds, machine, best_epoch=best.epoch)
        self.file.unlink(missing_ok=True)

    def _angles(self) -> torch.Tensor:
        return self._parameters()["angles"].flatten()

    def _parameters(self) -> dict[str, torch.Tensor]:
        return {name: value.detach().cpu().clone() for name, value in self.trainer.model.state_dict().items()}

    def _tensors(self) -> dict[str, torch.Tensor]:
        state = {f"trainer.{key}": value for key, value in self.trainer.state_dict().items()}
        state |= {f"best.{key}": value for key, value in self.best.items()}
        rows = {"history": self.history, "iterations": self.iterations}
        for key, value in rows.items():
            state[key] = torch.tensor([dataclasses.astuple(row) for row in value], dtype=torch.float64)
        variant = torch.tensor(list(self.variant.encode()), dtype=torch.uint8)
        return state | {"trajectory": torch.stack(self.trajectory), "variant": variant}

    def _resume(self, state: dict[str, torch.Tensor]) -> None:
        kept = bytes(state["variant"].tolist()).decode() if "variant" in state else STANDARD
        if kept != self.variant:
            raise ResultError(
                f"{self.file} holds a training of the variant {kept!r}, not {self.variant!r}; finish that one,"
                f" delete the file, or take another results folder (QPATCH_RESULTS)"
            )
        prefix = "trainer."
        self.trainer.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        self.best = {key.removeprefix("best."): value for key, value in state.items() if key.startswith("best.")}
        self.history = [Epoch(int(number), *rest) for number, *rest in state["history"].tolist()]
        self.iterations = [Iteration(int(a), int(b), *rest) for a, b, *rest in state["iterations"].tolist()]
        self.trajectory = list(state["trajectory"])


def hessian(
    config: RunConfig,
    device: str = "auto",
    tolerance: float = 1e-3,
    max_iterations: int = 100,
    start_seed: int = 0,
    subset: int = 0,
    data: Dataset | None = None,
) -> RunFolder:
    """The largest Hessian eigenvalue at the best epoch, by angles and bias (Table 3).

    It is that of the loss over all training images or, with ``subset``, over so many, the classes in proportion.
    """
    run, target, began = RunFolder(config), choose_device(device), time.perf_counter()
    with run.locked():
        model = load_best(run, target)
        images = stratified_subset((data or load_dataset(config)).train, subset)
        curvature = LossCurvature(model, images, progress=True)
        folder = run.products_folder("hessian", len(images))
        product = KeptProducts(curvature.hessian, folder)
        result = power_iteration(product, start_seed, tolerance, max_iterations)
        run.reopen("hessian")
        run.write_csv("eigenvalue.csv", pd.DataFrame({"estimate": result.estimates}))
        parameters = {"tolerance": tolerance, "max_iterations": max_iterations, "start_seed": start_seed}
        parameters |= {"subset": subset} if subset else {}
        seconds = time.perf_counter() - began + product.earlier
        values = {"lambda_max": result.eigenvalue, "converged": result.converged}
        run.write_record("hessian", parameters, seconds, machine(target), **values)
        shutil.rmtree(folder, ignore_errors=True)
    return run


def landscape(
    config: RunConfig,
    device: str = "auto",
    n_points: int = 20,
    margin: float = 5.0,
    data: Dataset | None = None,
) -> RunFolder:
    """The loss over all training images on the trajectory's principal plane (Fig. 3, Table 4)."""
    run, target, began = RunFolder(config), choose_device(device), time.perf_counter()
    with run.locked():
        loss = loss_at(load_best(run, target), (data or load_dataset(config)).train)
        best = run.record("train")["best_epoch"]
        trajectory = run.trajectory().astype(np.float64)
        plane = pca_plane(trajectory, origin=best + 1)
        x, y = grid_axes(plane, n_points, margin)
        rows = GridRows(run, "rows.safetensors", {"x": x, "y": y})
        grid = evaluate_grid(loss, plane, x, y, done=rows.load(), on_row=rows.save, progress=True)
        columns, lines = np.meshgrid(x, y)
        frame = pd.DataFrame({"x": columns.ravel(), "y": lines.ravel(), "loss": grid.ravel()})
        run.reopen("landscape")
        run.write_csv("landscape.csv", frame)
        points = pd.DataFrame({"epoch": np.arange(-1, config.epochs), "x": plane.trajectory[:, 0]})
        run.write_csv("trajectory.csv", points.assign(y=plane.trajectory[:, 1]))
        axes = {"mean": trajectory.mean(axis=0), "components": plane.axes}
        axes = {name: torch.from_numpy(values).float() for name, values in axes.items()}
        run.write_tensors("plane.safetensors", axes)
        parameters = {"n_points": n_points, "margin": margin}
        seconds = rows.earlier + time.perf_counter() - began
        values = {"ratios": plane.ratios.tolist(), "best_epoch": best}
        run.write_record("landscape", parameters, seconds, machine(target), **values)
        run.file("rows.safetensors").unlink(missing_ok=True)
    return run


def load_best(run: RunFolder, device: torch.device | str = "cpu") -> PatchQNN:
    """The model at the run's best epoch, in the precision in which it was trained."""
    best = run.best_parameters()
    model = PatchQNN(run.config).to(device, best["angles"].dtype)
    model.load_state_dict(best)
    return model
