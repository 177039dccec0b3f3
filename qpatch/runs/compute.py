"""A stage computed: the frame that all of them share. Lock, progress, clock, files, record."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qpatch import curvature, landscape
from qpatch.config import RunConfig
from qpatch.data import Dataset, Split, load_dataset, stratified_subset
from qpatch.files import ResultError, clear_parts
from qpatch.runs import provenance
from qpatch.runs.device import choose_device
from qpatch.runs.progress import GridRows, Progress
from qpatch.runs.remedies import remedy
from qpatch.runs.stage import Stage
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

if TYPE_CHECKING:
    import numpy as np
    import torch

    from qpatch.curvature.products import KeptProducts, Operator
    from qpatch.landscape.grid import PointLoss
    from qpatch.landscape.planes import Plane
    from qpatch.model.qnn import PatchQNN


@dataclass
class Work:
    """What a stage computes from: the run so far, its images, and products and rows that earlier calls have kept."""

    run: RunFolder
    device: torch.device
    progress: Progress
    data: Dataset
    kept_parts: list[KeptProducts | GridRows] = field(default_factory=list)

    def images(self, count: int) -> Split:
        """So many training images, the classes in proportion; all of them for 0."""
        return stratified_subset(self.data.train, count)

    def model(self) -> PatchQNN:
        """The model at the run's best epoch."""
        return self.run.model(self.device)

    def kept(self, product: Operator, name: str) -> KeptProducts:
        """A matrix whose products are kept under a name."""
        self.kept_parts.append(curvature.KeptProducts(product, self.progress, name))
        return self.kept_parts[-1]

    def grid(self, name: str, loss: PointLoss, plane: Plane, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Losses on a plane's grid, ``(len(y), len(x))``, whose rows are kept under a name."""
        belongs_to = {"x": x, "y": y, "axes": plane.axes, "origin": plane.origin}
        rows = GridRows(self.progress, name, belongs_to)
        self.kept_parts.append(rows)
        return landscape.evaluate_grid(loss, plane, x, y, done=rows.load(), on_row=rows.save, progress=True)


def compute_stage(
    stage: str,
    config: RunConfig,
    device: str = "auto",
    data: Dataset | None = None,
    replace: bool = False,
    **parameters,
) -> RunFolder:
    """Compute a stage of a run and store it; what is stored with the same parameters stays as it is.

    Killed, it goes on in a later call from what it has kept. ``stage`` is one of `STAGES`, ``parameters`` are its own;
    ``device`` as in `choose_device`; ``data`` stands in for `load_dataset` of the configuration; ``replace`` computes
    again what is stored.

    Raises:
        ConfigError: a parameter that the stage does not have, or a value out of range or unfit for the configuration.
        ResultError: the stage is stored with other parameters; another process computes it; what it needs is missing
            or is not what the training left; its folder cannot be written.
    """
    return _framed(STAGES[stage], config, device, data, replace, parameters)


def train(
    config: RunConfig,
    device: str = "auto",
    data: Dataset | None = None,
    max_steps: int | None = None,
    replace: bool = False,
    **parameters,
) -> RunFolder:
    """Train by the protocol, with a checkpoint after each epoch; a later call goes on from the last one, bit for bit.

    As `compute_stage`, but ``max_steps`` stops after so many optimiser steps of this call; those of an unfinished epoch
    are not kept.

    Raises:
        ValueError: ``max_steps`` below one.
        FloatingPointError: a loss is not finite; the last good epoch stays.
        ConfigError, ResultError: as `compute_stage`.
    """
    if max_steps is not None and max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}; take one or more, or None for all")
    return _framed(STAGES["train"], config, device, data, replace, parameters, max_steps=max_steps)


def _framed(stage: Stage, config: RunConfig, device: str, data, replace: bool, given: dict, **options) -> RunFolder:
    run, target, values = RunFolder(config), choose_device(device), stage.values(given)
    stage.check(config, values)

    def is_there() -> bool:
        return not replace and run.state(stage.name, values) == "done"

    if is_there():
        return run
    with run.locked():
        if is_there():  # another process has computed it meanwhile
            return run
        if not replace:
            run.refuse_to_replace([stage.name], values)
        clear_parts(run.path)
        began, code = time.perf_counter(), provenance.code_version()
        inputs = _inputs(run, stage)
        images = data or load_dataset(config)
        digest = _digest(run, stage, images)
        recorded = stage.recorded(values)
        stamp = {"config": config.to_dict(), "parameters": recorded, "inputs": inputs, "data": digest}
        progress = Progress(run.cache / f"progress-{stage.name}", stamp | {"code": provenance.code_digest()})
        work = Work(run, target, progress, images)
        outcome = stage.compute(work, **values, **options)
        if outcome is None:
            return run
        earlier = sum(part.earlier for part in work.kept_parts)
        seconds = outcome.seconds or time.perf_counter() - began + earlier
        run.reopen(stage.name)
        for name, contents in outcome.files.items():
            write = run.write_csv if name.endswith(".csv") else run.write_tensors
            write(name, contents)
        machine = outcome.machine or provenance.machine(target)
        run.write_record(stage.name, recorded, seconds, machine, code, digest, **outcome.values)
        progress.close()
    return run


def _inputs(run: RunFolder, stage: Stage) -> dict[str, str]:
    """Digests of the files that a stage reads, which must be there as the training left them."""
    if stage.needs and (reason := run.reason("train")):
        raise ResultError(
            f"{run.run_id}: the {stage.name} stage needs a finished training, which is"
            f" {run.state('train')}: {reason}; {remedy(run, 'train')}"
        )
    for name in run.lacks(stage.name):
        run.existing(name)
    return {name: run.record("train")["outputs"][name] for name in stage.needs}


def _digest(run: RunFolder, stage: Stage, images: Dataset) -> str:
    """The digest of a stage's images, which must be the training's, where that says which they were."""
    digest = images.digest()
    trained = (run.record("train") or {}).get("data", digest) if stage.needs else digest
    if digest != trained:
        raise ResultError(
            f"{run.run_id}: the images of data set {run.config.dataset!r} are not those that it was trained on (SHA-256"
            f" {digest[:12]}..., then {trained[:12]}...); get those back, or take another results folder"
            f" (QPATCH_RESULTS) and train anew"
        )
    return digest
