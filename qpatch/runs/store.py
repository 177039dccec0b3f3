"""What runs leave behind: one folder a run, small files, atomic writes, records that tell whether they are current.

A run has five stages, each with a record ``<stage>.json``. A record names the stage's parameters, the SHA-256 of the
files it read and wrote, the version of the code, the class of machine and the wall time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import torch
from safetensors.torch import save

from qpatch.config import RunConfig
from qpatch.files import PROJECT, read_tensors, sha256, write_atomically
from qpatch.runs.provenance import code_version

SCHEMA = 1
REPLICAS = "replicas"  # among the runs, a folder of folders: a variant each, with runs of its own
STAGES = ("train", "hessian", "landscape", "spectrum", "slices")
OUTPUTS = {
    "train": ("history.csv", "iterations.csv", "best.safetensors", "trajectory.safetensors"),
    "hessian": ("eigenvalue.csv",),
    "landscape": ("landscape.csv", "trajectory.csv", "plane.safetensors"),
    "spectrum": ("eigenvalues.csv", "density.csv"),
    "slices": ("planes.csv", "paths.csv", "lines.csv"),
}
INPUTS = {
    "train": (),
    "hessian": ("best.safetensors",),
    "landscape": ("best.safetensors", "trajectory.safetensors"),
    "spectrum": ("best.safetensors",),
    "slices": ("best.safetensors", "trajectory.safetensors"),
}
# In the run's cache, too large or of no use to publish; a published run does without.
CACHED = ("trajectory.safetensors", "checkpoint.safetensors")


class ResultError(RuntimeError):
    """Results that are missing, damaged, in use or cannot be written; the message names the file and the remedy."""


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Within the block an error of the operating system means that the folder cannot be written: a `ResultError`."""
    try:
        yield
    except filelock.Timeout:  # an OSError, too
        raise
    except OSError as error:
        raise ResultError(
            f"cannot write to {folder} ({error.strerror}); set QPATCH_RESULTS to a folder that you can write to"
        ) from error


@dataclass(frozen=True)
class Landscape:
    """Losses ``(rows, columns)`` on the principal plane, and the trajectory ``(epochs + 1, 2)`` projected on it.

    Coordinates are in parameter units, relative to the best epoch's projection; ``best`` is its row in the trajectory.
    """

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    trajectory: np.ndarray
    ratios: np.ndarray
    best: int


def results_folder() -> Path:
    """Where all runs are: ``$QPATCH_RESULTS`` where that variable is set, else ``data/results``."""
    return Path(os.environ.get("QPATCH_RESULTS") or PROJECT / "data" / "results")


class RunFolder:
    """The results of one run; reading never changes anything."""

    def __init__(self, config: RunConfig, root: Path | None = None):
        self.config = config
        self.run_id = config.run_id
        self.path = (root or results_folder()) / config.run_id
        self.cache = self.path / "cache"  # checkpoints, whole trajectories, executed notebooks: not published

    def products_folder(self, stage: str, n_images: int) -> Path:
        """Where a stage keeps Hessian products at the best epoch, over so many images, until it is finished."""
        return self.cache / f"{stage}-{sha256(self.file('best.safetensors'))}-{n_images}"

    def file(self, name: str) -> Path:
        """Where a stage's file is."""
        return (self.cache if name in CACHED or name.startswith("rows") else self.path) / name

    # -- reading ----------------------------------------------------------------------------------------------

    def record(self, stage: str) -> dict | None:
        """A finished stage's record; None where there is none or it is half-written."""
        try:
            record = json.loads((self.path / f"{stage}.json").read_text())
        except (OSError, ValueError):  # no file, no text, no JSON
            return None
        return record if isinstance(record, dict) else None

    def history(self) -> pd.DataFrame:
        """One row an epoch, -1 being the initial point: the fields of `training.Epoch`."""
        return self.table("history.csv")

    def iterations(self) -> pd.DataFrame:
        """One row an optimiser step: the fields of `training.Iteration`."""
        return self.table("iterations.csv")

    def eigenvalue_estimates(self) -> np.ndarray:
        """The power iteration's estimates of the largest Hessian eigenvalue, in order."""
        return self.table("eigenvalue.csv")["estimate"].to_numpy()

    def eigenvalues(self) -> pd.DataFrame:
        """Extreme eigenvalues: end ('largest', 'smallest'), rank, eigenvalue, residual relative to the largest."""
        return self.table("eigenvalues.csv")

    def density(self) -> pd.DataFrame:
        """Nodes of the spectral density: probe, node, weight, residual."""
        return self.table("density.csv")

    def table(self, name: str) -> pd.DataFrame:
        """One of the run's CSV files as it is."""
        return pd.read_csv(self._existing(name))

    def best_parameters(self) -> dict[str, torch.Tensor]:
        """``angles`` and ``bias`` at the epoch of least training loss."""
        return read_tensors(self._existing("best.safetensors"))

    def trajectory(self) -> np.ndarray:
        """All angles at the start and after each epoch: ``(epochs + 1, n_angles)`` float32.

        Raises:
            ResultError: it is not there, which is so for every run that came with a clone.
        """
        name = "trajectory.safetensors"
        if not self.file(name).exists() and self.state("train") == "done":
            raise ResultError(
                f"{self.file(name)} is missing: a run's whole path is not published. To go on from it, train the run"
                f" yourself in a folder of your own, with QPATCH_RESULTS=<folder> before the same command"
            )
        return read_tensors(self._existing(name))["angles"].numpy()

    def plane(self) -> dict[str, torch.Tensor]:
        """The trajectory's ``mean`` ``(n_angles,)`` and two ``components`` ``(2, n_angles)``, float32."""
        return read_tensors(self._existing("plane.safetensors"))

    def landscape(self) -> Landscape:
        grid = self.table("landscape.csv").pivot(index="y", columns="x", values="loss")
        path = self.table("trajectory.csv")
        record = self.record("landscape")
        if record is None:
            raise ResultError(f"{self.path / 'landscape.json'} is missing; {self.remedy}")
        return Landscape(
            x=grid.columns.to_numpy(),
            y=grid.index.to_numpy(),
            loss=grid.to_numpy(),
            trajectory=path[["x", "y"]].to_numpy(),
            ratios=np.array(record["ratios"]),
            best=record["best_epoch"] + 1,
        )

    def state(self, stage: str, parameters: dict | None = None) -> str:
        """'done', 'missing', or 'stale': other parameters, another schema, or older than what it was made from."""
        record = self.record(stage)
        if record is None:
            return "missing"
        try:
            current = record["schema"] == SCHEMA and record["config"] == self.config.to_dict()
            current = current and (parameters is None or record["parameters"] == parameters)
            upstream = (self.record("train") or {}).get("outputs", {})
            current = current and all(record["inputs"][name] == upstream.get(name) for name in INPUTS[stage])
            current = current and all(self.file(name).exists() or name in CACHED for name in OUTPUTS[stage])
        except (KeyError, TypeError, AttributeError):
            current = False
        return "done" if current else "stale"

    def _existing(self, name: str) -> Path:
        file = self.file(name)
        if not file.exists():
            raise ResultError(f"{file} is missing; {self.remedy}")
        return file

    @property
    def remedy(self) -> str:
        """What to do about a file that is missing or damaged."""
        options = self.config.command_options
        if self.path.parent.parent.name == REPLICAS:
            return f"run 'qpatch replicas {options} --variant {self.path.parent.name}' again"
        return f"run 'qpatch run {options}' or the sweep again"

    # -- writing ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, name: str = "stage.lock", busy: type[ResultError] = ResultError) -> Iterator[None]:
        """Hold the run for this process; the lock dies with the process.

        Raises:
            busy: another process holds it.
            ResultError: the folder cannot be written.
        """
        try:
            with writable(self.path):
                self.cache.mkdir(parents=True, exist_ok=True)
                lock = filelock.FileLock(self.cache / name, timeout=0)
                lock.acquire()
        except filelock.Timeout as error:
            raise busy(f"{self.run_id} is being computed by another process; wait for it or stop it") from error
        try:
            yield
        finally:
            lock.release()

    def reopen(self, stage: str) -> None:
        """Take back a stage's record before its files are written: until `write_record` closes it, it is missing."""
        (self.path / f"{stage}.json").unlink(missing_ok=True)

    def write_csv(self, name: str, frame: pd.DataFrame) -> None:
        write_atomically(self.file(name), frame.to_csv(index=False).encode())

    def write_tensors(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Write a safetensors file, among the published ones or into the cache as `file` says."""
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_atomically(self.file(name), save(plain))

    def write_record(self, stage: str, parameters: dict, seconds: float, machine: dict, **values) -> None:
        """Close a stage: its files must have been written, after `reopen`."""
        upstream = (self.record("train") or {}).get("outputs", {})
        record = {
            "schema": SCHEMA,
            "stage": stage,
            "config": self.config.to_dict(),
            "parameters": parameters,
            **values,
            "seconds": seconds,
            "machine": machine,
            "code": code_version(),
            "inputs": {name: upstream[name] for name in INPUTS[stage]},
            "outputs": {name: sha256(self.file(name)) for name in OUTPUTS[stage]},
        }
        write_atomically(self.path / f"{stage}.json", (json.dumps(record, indent=2) + "\n").encode())


def recorded_config(record: Path) -> RunConfig | None:
    """The configuration that a record names; None where it cannot be read."""
    try:
        return RunConfig.from_dict(json.loads(record.read_text())["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
