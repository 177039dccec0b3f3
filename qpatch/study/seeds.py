"""Runs of several seeds on the paper's protocol: which there are, their numbers, and which test images each got right.

Which images a run got right is kept as bits, so that a test over images needs no model.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from qpatch.config import RunConfig
from qpatch.data import load_split
from qpatch.model.predictions import predict
from qpatch.runs.plan import confirmatory_runs
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import summary

SIZE = ["stride", "n_patches", "depth", "n_parameters"]  # what makes a configuration, beside its seed


def has_paper_size(config: RunConfig) -> bool:
    """Whether a configuration is one of the paper's in everything but its seed and its number of epochs."""
    return RunConfig(**{**config.to_dict(), "seed": RunConfig.seed, "epochs": RunConfig.epochs}).is_paper_run


def seed_runs(runs: Sequence[RunFolder]) -> list[RunFolder]:
    """The runs that tests over seeds rest on: of one number of epochs, every configuration with two seeds or more.

    Where several schedules have such runs, the one with most of them, and of equals the longer. The runs of the plan of
    analysis judge alone, once all are there, and take no part before.
    """
    planned = {config.run_id for config in confirmatory_runs()}
    fresh = [run for run in runs if run.run_id in planned]
    if len(fresh) == len(planned):
        return fresh
    complete = [run for run in runs if has_paper_size(run.config) and run.run_id not in planned]
    sizes = Counter(map(_size, complete))
    repeated = [run for run in complete if sizes[_size(run)] > 1]
    schedules = Counter(run.config.epochs for run in repeated)
    chosen = max(schedules, key=lambda epochs: (schedules[epochs], epochs), default=None)
    return [run for run in repeated if run.config.epochs == chosen]


def _size(run: RunFolder) -> tuple[int, int, int]:
    return run.config.epochs, run.config.stride, run.config.depth


def seeds_table(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """A row a run of `seed_runs`: its configuration, epochs, losses, accuracies and largest eigenvalue.

    Eigenvalues over another number of images than most have are left out (`subset_problems` names them).
    """
    chosen = seed_runs(runs)
    if not chosen:
        return pd.DataFrame()
    columns = ["run_id", *SIZE, "seed", "learning_rate", "best_epoch", "train_loss", "train_accuracy"]
    columns += ["test_loss", "test_accuracy", "lambda_max"]
    table = summary(chosen)[columns]
    table.loc[table["run_id"].isin(_odd_subsets(chosen)[0]), "lambda_max"] = np.nan
    table.insert(columns.index("seed") + 1, "epochs", [run.config.epochs for run in chosen])
    return table.sort_values(["n_parameters", "seed"], ignore_index=True)


def _odd_subsets(runs: Sequence[RunFolder]) -> tuple[dict[str, int], int]:
    """Of how many training images an eigenvalue is, 0 meaning all, where most have another number; and that number."""
    records = {run.run_id: run.record("hessian") for run in runs if run.state("hessian") == "done"}
    subsets = {run_id: record["parameters"].get("subset", 0) for run_id, record in records.items() if record}
    usual = max(sorted(subsets.values()), key=list(subsets.values()).count, default=0)
    return {run_id: subset for run_id, subset in subsets.items() if subset != usual}, usual


def subset_problems(runs: Sequence[RunFolder]) -> list[str]:
    """Runs of several seeds whose largest eigenvalue is over other images than that of most, with the remedy."""
    chosen = seed_runs(runs)
    odd, usual = _odd_subsets(chosen)
    return [
        f"the largest eigenvalue of {run.run_id} is over {odd[run.run_id] or 'all'} training images, those of the other"
        f" seeds are not; run 'qpatch run {run.config.command_options} --stage hessian -p subset={usual} --force'"
        for run in chosen
        if run.run_id in odd
    ]


# -- test images --------------------------------------------------------------------------------------------------


def right_images(run: RunFolder) -> np.ndarray:
    """Whether the run's best model gets each test image right: ``(n_test,)`` bool."""
    answers = predict(run.model(), load_split(run.config, "test"))
    return answers.predicted == answers.labels


def pack(right: np.ndarray) -> str:
    """Bits ``(n,)`` as hexadecimal digits, the first image in the highest bit."""
    return np.packbits(right).tobytes().hex()


def unpack(digits: str, n: int) -> np.ndarray:
    """The bits that `pack` has packed."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=n).astype(bool)


def images_table(runs: Sequence[RunFolder], known: pd.DataFrame) -> pd.DataFrame:
    """A row a run of `seed_runs`: the digest of its best parameters, and which test images they get right.

    ``known`` is the table as it was; rows of the same digest are kept, not computed again.
    """
    rows, old = [], {row.get("best"): row for row in known.to_dict("records")}
    for run in seed_runs(runs):
        best = run.record("train")["outputs"]["best.safetensors"]
        right = old[best]["right"] if not _row_problem(run, old.get(best)) else pack(right_images(run))
        rows.append({"run_id": run.run_id, "best": best, "images": run.config.n_test, "right": right})
    return pd.DataFrame(rows)


def images_problems(runs: Sequence[RunFolder], table: pd.DataFrame) -> list[str]:
    """Rows of `images_table` that are missing, of other parameters, or at odds with the run's test accuracy.

    Rounding may turn an image over between two machines, so two in a run are forgiven.
    """
    rows = {row.get("run_id"): row for row in table.to_dict("records")}
    found = [_row_problem(run, rows.get(run.run_id)) for run in seed_runs(runs)]
    return [f"tables/images.csv has {problem}; run 'qpatch tables'" for problem in found if problem]


def _row_problem(run: RunFolder, row: dict | None) -> str:
    record = run.record("train")
    if row is None or row.get("best") != record["outputs"]["best.safetensors"]:
        return f"no row for the parameters of {run.run_id}"
    try:
        counted = unpack(row["right"], row["images"]).sum()
    except (KeyError, TypeError, ValueError):
        return f"a row that cannot be read for {run.run_id}"
    stated = run.history().set_index("epoch").loc[record["best_epoch"], "test_accuracy"] * row["images"]
    return f"{counted} images right for {run.run_id}, its history {stated:.0f}" if abs(counted - stated) > 2 else ""
