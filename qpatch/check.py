"""Validation of stored results: records against the schema, files against their checksums, values against sense."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np

from qpatch.config import RunConfig
from qpatch.results import STAGES, RunFolder, results_folder
from qpatch.storage import sha256


def check_results(root: Path | None = None) -> tuple[int, list[str]]:
    """Check every folder that holds a record; returns how many there are, and what is wrong with them."""
    folders = sorted({path.parent for stage in STAGES for path in (root or results_folder()).glob(f"*/{stage}.json")})
    return len(folders), [problem for folder in folders for problem in _folder_problems(folder)]


def _folder_problems(folder: Path) -> list[str]:
    config = _recorded_config(folder)
    if config is None:
        return [f"{folder.name}: none of its records can be read; delete the folder, or run the sweep again"]
    if config.run_id != folder.name:
        return [f"{folder.name}: its records are those of {config.run_id}; rename the folder"]
    return run_problems(RunFolder(config, folder.parent))


def _recorded_config(folder: Path) -> RunConfig | None:
    for stage in STAGES:
        with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            return RunConfig.from_dict(json.loads((folder / f"{stage}.json").read_text())["config"])
    return None


def run_problems(run: RunFolder) -> list[str]:
    """What is wrong with one run: unreadable or stale records, altered files, values that make no sense."""
    found = []
    for stage in STAGES:
        if not (run.path / f"{stage}.json").exists():
            continue
        state = run.state(stage)
        if state != "done":
            found.append(f"{run.run_id}: the {stage} stage is {state}; {run.remedy}")
            continue
        for name, digest in run.record(stage)["outputs"].items():
            file = run.file(name)
            if file.exists() and sha256(file) != digest:
                found.append(f"{run.run_id}: {name} was altered after it was written; {run.remedy}")
    return found or [f"{run.run_id}: {problem}" for problem in _value_problems(run)]


def _value_problems(run: RunFolder) -> list[str]:
    found = []
    if run.record("train"):
        history = run.history()
        if list(history["epoch"]) != list(range(-1, run.config.epochs)):
            found.append(f"history.csv does not hold the epochs -1 to {run.config.epochs - 1}")
        elif not np.isfinite(history.to_numpy()).all():
            found.append("history.csv holds a value that is not finite")
        elif run.record("train")["best_epoch"] != history["epoch"][history["train_loss"].idxmin()]:
            found.append("best_epoch is not the epoch of least training loss")
    if run.record("landscape") and not np.isfinite(run.landscape().loss).all():
        found.append("landscape.csv holds a value that is not finite")
    if run.record("hessian") and not np.isfinite(run.eigenvalue_estimates()).all():
        found.append("eigenvalue.csv holds a value that is not finite")
    return found
