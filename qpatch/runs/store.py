"""What runs leave behind: one folder a run, small files, atomic writes, records that tell whether they are current.

A run has stages (`qpatch.runs.stages`), each with a record ``<stage>.json``. It names the stage's parameters, the
SHA-256 of the files it read and wrote, the version of the code, the class of machine and the wall time.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import filelock
import lazy_loader

from qpatch import model
from qpatch.config import RunConfig
from qpatch.files import ResultError, in_project, locked, sha256, write_atomically, write_tensors
from qpatch.runs.provenance import code_version
from qpatch.runs.readings import Landscape, stored_plane
from qpatch.runs.records import SCHEMA, read_record, record_problems
from qpatch.runs.remedies import newer, remedy, undo
from qpatch.runs.stages import STAGES

if TYPE_CHECKING:
    from qpatch.runs.stage import Stage

np, pd, torch = (lazy_loader.load(name) for name in ("numpy", "pandas", "torch"))

CACHED = ("trajectory.safetensors",)  # too large to publish; a published run does without


def results_folder() -> Path:
    """Where all runs are: ``$QPATCH_RESULTS`` where that variable is set, else ``data/results``."""
    return Path(os.path.expanduser(os.environ.get("QPATCH_RESULTS") or in_project("data", "results")))


class RunFolder:
    """The results of one run; reading never changes anything."""

    def __init__(self, config: RunConfig, root: Path | None = None):
        self.config = config
        self.run_id = config.run_id
        self.path = (root or results_folder()) / config.run_id
        self.cache = self.path / "cache"  # checkpoints, whole trajectories, executed notebooks: not published

    def file(self, name: str) -> Path:
        """Where a stage's file is."""
        return (self.cache if name in CACHED else self.path) / name

    def record_file(self, stage: str) -> Path:
        return self.path / f"{stage}.json"

    # -- reading ----------------------------------------------------------------------------------------------

    def record(self, stage: str) -> dict | None:
        """A finished stage's record; None where there is none or it is half-written."""
        return read_record(self.record_file(stage))

    def history(self) -> pd.DataFrame:
        """One row an epoch, -1 being the initial point: the fields of `training.Epoch`."""
        return self.table("history.csv")

    def iterations(self) -> pd.DataFrame:
        """One row an optimiser step: the fields of `training.Iteration`."""
        return self.table("iterations.csv")

    def eigenvalues(self) -> pd.DataFrame:
        """Extreme eigenvalues: end ('largest', 'smallest'), rank, eigenvalue, residual relative to the largest."""
        return self.table("eigenvalues.csv")

    def density(self) -> pd.DataFrame:
        """Nodes of the spectral density: probe, node, weight, residual."""
        return self.table("density.csv")

    def table(self, name: str) -> pd.DataFrame:
        """One of the run's CSV files as it is."""
        with self.reading(name):
            return pd.read_csv(self.existing(name))

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """One of the run's safetensors files as it is."""
        from safetensors.torch import load_file

        with self.reading(name):
            return load_file(self.existing(name))

    def best_parameters(self) -> dict[str, torch.Tensor]:
        """``angles`` and ``bias`` at the epoch of least training loss."""
        return self.tensors("best.safetensors")

    def trajectory(self) -> np.ndarray:
        """All angles at the start and after each epoch: ``(epochs + 1, n_angles)`` float32.

        Raises:
            ResultError: it is not there, which is so for every run that came with a clone.
        """
        with self.reading("trajectory.safetensors"):
            return self.tensors("trajectory.safetensors")["angles"].numpy()

    def points(self) -> np.ndarray:
        """All parameters at the start and after each epoch: ``(epochs + 1, n_trainable)`` float64, as `model.flat`.

        Raises:
            ResultError: the path is not there, or keeps the angles alone, as those of earlier versions do.
        """
        stored = self.tensors("trajectory.safetensors")
        if "bias" not in stored:
            raise ResultError(
                f"{self.file('trajectory.safetensors')} is of an earlier version and keeps the angles without the bias;"
                f" train the run anew in another results folder (QPATCH_RESULTS)"
            )
        with self.reading("trajectory.safetensors"):
            return np.concatenate([stored["angles"].numpy(), stored["bias"].numpy()], axis=1).astype(np.float64)

    def landscape(self) -> Landscape:
        """The loss on the principal plane, as the landscape stage stored it."""
        losses, path, record = self.table("landscape.csv"), self.table("trajectory.csv"), self.record("landscape")
        if record is None:
            raise ResultError(f"{self.record_file('landscape')} is missing; {remedy(self, 'landscape')}")
        with self.reading("landscape.csv"):
            return stored_plane(losses, path, record["ratios"], record["best_epoch"])

    def model(self, device: torch.device | str = "cpu") -> model.PatchQNN:
        """The model at the run's best epoch, in the precision in which it was trained."""
        best = self.best_parameters()
        with self.reading("best.safetensors"):
            qnns = model.build_model(self.config).to(device, best["angles"].dtype)
            qnns.load_state_dict(best)
        return qnns

    @contextlib.contextmanager
    def reading(self, *names: str) -> Iterator[None]:
        """Within the block, whatever fails means that files of a stage do not hold what they must: a `ResultError`."""
        try:
            yield
        except ResultError:
            raise
        except Exception as error:
            raise ResultError(
                f"{' or '.join(str(self.file(name)) for name in names)} cannot be read as results"
                f" ({type(error).__name__}: {error}); {undo(self, _stage_of(names[0]))}"
            ) from error

    # -- state ------------------------------------------------------------------------------------------------

    def state(self, stage: str, parameters: dict | None = None) -> str:
        """'done', 'missing', or 'stale', `reason` says why: with these parameters, of whatever stages, or with any."""
        if self.record(stage) is None:
            return "missing"
        return "stale" if self.reason(stage, parameters) else "done"

    def reason(self, stage: str, parameters: dict | None = None) -> str:
        """Why a stage's record does not hold; empty where it does."""
        record = self.record(stage)
        if record is None:
            return "no record"
        return next(self._reasons(STAGES[stage], record, parameters), "")

    def refuse_to_replace(self, stages: Iterable[str], parameters: dict) -> None:
        """Refuse where one of the stages is finished with other parameters or by a newer version: hours may lie in it.

        Raises:
            ResultError: one is.
        """
        for stage in stages:
            if newer(self, stage):
                raise ResultError(f"{self.record_file(stage)} is {self.reason(stage)}; {remedy(self, stage)}")
            if self.state(stage) == "done" and (difference := self.reason(stage, parameters)):
                raise ResultError(
                    f"the {stage} stage of {self.run_id} is stored with {difference}; --force (in Python replace=True)"
                    f" replaces it, or set QPATCH_RESULTS to a folder of your own"
                )

    def _reasons(self, stage: Stage, record: dict, parameters: dict | None) -> Iterator[str]:
        if record.get("schema") != SCHEMA:
            yield f"a record of schema {record.get('schema')}, not {SCHEMA}"
        yield from record_problems(stage.name, record)
        yield from _differences(record["config"], self.config.to_dict())
        if parameters is not None:
            yield from _differences(record["parameters"], stage.recorded(parameters))
        training = self.record("train") or {}
        if stage.needs and record.get("data", training.get("data")) != training.get("data", record.get("data")):
            yield "other images than the training's"
        upstream = training.get("outputs")
        for name in stage.needs:
            if not isinstance(upstream, dict) or record["inputs"][name] != upstream.get(name):
                yield f"another {name} than the training left since"
        for name, digest in record["outputs"].items():
            if self.file(name).is_file():
                if sha256(self.file(name)) != digest:
                    yield f"{name} was altered after it was written"
            elif name not in CACHED:
                yield f"no {name}"

    def lacks(self, stage: str) -> list[str]:
        """The files that a stage needs and does not find here, unless what it left before serves in their place."""
        missing = [name for name in STAGES[stage].needs if not self.file(name).is_file()]
        return missing if missing and not (STAGES[stage].instead_of_path and self.state(stage) == "done") else []

    def existing(self, name: str) -> Path:
        """Where a file is, which must be there."""
        file = self.file(name)
        if not file.is_file() and name in CACHED and self.state("train") == "done":
            raise ResultError(
                f"{file} is missing: a run's whole path is not published. To go on from it, train the run"
                f" yourself in a folder of your own, with QPATCH_RESULTS=<folder> before the same command"
            )
        if not file.is_file():
            raise ResultError(f"{file} is missing; {remedy(self, _stage_of(name))}")
        return file

    # -- writing ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, name: str = "stage.lock", busy: type[ResultError] = ResultError) -> Iterator[None]:
        """Hold the run for this process; the lock dies with the process.

        Raises:
            busy: another process holds it.
            ResultError: the folder cannot be written.
        """
        try:
            held = locked(self.cache / name, timeout=0)
        except filelock.Timeout as error:
            raise busy(f"{self.run_id} is being computed by another process; wait for it or stop it") from error
        with held:
            yield

    def reopen(self, stage: str) -> None:
        """Take back a stage's record before its files are written: until `write_record` closes it, it is missing."""
        if self.record(stage) is not None:
            (self.record_file(stage)).unlink()

    def write_csv(self, name: str, frame: pd.DataFrame) -> None:
        write_atomically(self.file(name), frame.to_csv(index=False).encode())

    def write_tensors(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Write a safetensors file, among the published ones or into the cache as `file` says."""
        write_tensors(self.file(name), tensors)

    def write_record(
        self, stage: str, parameters: dict, seconds: float, machine: dict, code: str = "", data: str = "", **values
    ) -> None:
        """Close a stage: its files must have been written, after `reopen`.

        ``code`` is the version that computed it, this one if it is not given; ``data`` the digest of its images.
        """
        upstream = (self.record("train") or {}).get("outputs", {})
        record = {
            "schema": SCHEMA,
            "stage": stage,
            "config": self.config.to_dict(),
            "parameters": parameters,
            **values,
            "seconds": seconds,
            "machine": machine,
            "code": code or code_version(),
            **({"data": data} if data else {}),
            "inputs": {name: upstream[name] for name in STAGES[stage].needs},
            "outputs": {name: sha256(self.file(name)) for name in STAGES[stage].leaves},
        }
        write_atomically(self.record_file(stage), (json.dumps(record, indent=2) + "\n").encode())


def _differences(stored: dict, wanted: dict) -> Iterator[str]:
    """In words, what is stored otherwise than wanted; one sentence, if there is any."""
    names = [name for name in stored | wanted if stored.get(name) != wanted.get(name)]
    if names:
        yield ", ".join(f"{name} {stored.get(name, 'unset')}, not {wanted.get(name, 'unset')}" for name in names)


def _stage_of(name: str) -> str:
    return next(stage.name for stage in STAGES.values() if name in stage.leaves)
