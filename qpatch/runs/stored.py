"""All stored runs, and what each reached, in one table."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import lazy_loader

from qpatch.config import ConfigError, RunConfig
from qpatch.runs.records import read_record
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder, results_folder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))


def run_in(folder: Path) -> RunFolder | None:
    """The run whose folder this is, by one of its records or what its training keeps; None for any other folder."""
    for name in (*(f"{stage}.json" for stage in STAGES), "cache/progress-train/stamp.json"):
        with contextlib.suppress(ConfigError, TypeError, KeyError):
            config = RunConfig.from_dict((read_record(folder / name) or {})["config"])
            if config.run_id == folder.name:
                return RunFolder(config, folder.parent)
    return None


def stored_runs(root: Path | None = None) -> list[RunFolder]:
    """The runs whose training is finished, in the order of `all_runs`."""
    return [run for run in all_runs(root) if run.state("train") == "done"]


def all_runs(root: Path | None = None) -> list[RunFolder]:
    """All runs, begun or damaged too: the paper's first, then by qubits (most first), patches, depth and seed."""
    runs = [run for folder in sorted((root or results_folder()).glob("*")) if (run := run_in(folder))]
    runs.sort(key=lambda run: (-run.config.n_qubits, run.config.n_patches, run.config.depth, run.run_id))
    return sorted(runs, key=lambda run: not run.config.is_paper_run)


def summary(runs: list[RunFolder]) -> pd.DataFrame:
    """One row a run: configuration, the values at the best epoch, curvature and explained variance (NaN if missing).

    Raises:
        ResultError: a run's files cannot be read as results.
    """
    rows = []
    for run in runs:
        with run.reading("history.csv"):
            rows.append(_summary_row(run))
    return pd.DataFrame(rows)


def _summary_row(run: RunFolder) -> dict:
    config, best = run.config, run.record("train")["best_epoch"]
    names = ("dataset", "n_qubits", "stride", "n_patches", "seen_share", "depth", "seed")
    row = {"run_id": run.run_id} | {name: getattr(config, name) for name in names}
    row |= {"n_parameters": config.n_angles, "learning_rate": config.learning_rate, "best_epoch": best}
    history = run.history().set_index("epoch").loc[best]
    row |= {name: history[name] for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")}
    hessian = run.record("hessian")  # read once: another process may close the stage meanwhile
    row["lambda_max"] = hessian["lambda_max"] if hessian and run.state("hessian") == "done" else np.nan
    return row | _plane_columns(run)


def _plane_columns(run: RunFolder) -> dict[str, float]:
    """Explained variance, the path's span along both axes (parameter units), and the highest loss on the grid."""
    names = ("pc1_ratio", "pc2_ratio", "pc_ratio", "pc1_span", "pc2_span", "landscape_max_loss")
    if run.state("landscape") != "done":
        return dict.fromkeys(names, np.nan)
    landscape = run.landscape()
    values = (*landscape.ratios, landscape.ratios.sum(), *np.ptp(landscape.trajectory, axis=0), landscape.loss.max())
    return dict(zip(names, values, strict=True))


def paper_runs(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Those of the runs that are the paper's own configurations, seed included."""
    return [run for run in runs if run.config.is_paper_run]


def small_runs(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """Those of the runs on fewer images than the paper's: further seeds of its configurations are not among them."""
    return [run for run in runs if run.config.n_train < RunConfig.n_train]
