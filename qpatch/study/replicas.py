"""Replicas of one seed that differ in rounding alone: where they are, where they part, how far they spread.

The run itself is the member 'standard'. The others lie in ``<results>/replicas/<variant>/<run id>``: the same stages,
the same small files, in results folders of their own.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from qpatch.config import RunConfig
from qpatch.runs.published import PARTED, of_run
from qpatch.runs.store import RunFolder, results_folder
from qpatch.runs.stored import stored_runs, summary
from qpatch.runs.variants import REPLICAS, STANDARD, VARIANTS
from qpatch.study.inference import LEVEL

STAGES = ("train", "hessian", "landscape")
# The principal plane and the path on it are wanted, not the map: a grid of its four corners closes the stage.
PARAMETERS = {"n_points": 2}
QUANTITIES = (
    "best_epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "lambda_max", "pc1_ratio", "pc2_ratio",
    "pc_ratio", "pc1_span", "pc2_span",
)  # fmt: skip


def replicas_folder(variant: str, root: Path | None = None) -> Path:
    """The results folder of a variant."""
    return (root or results_folder()) / REPLICAS / variant


def ensemble(config: RunConfig, root: Path | None = None) -> dict[str, RunFolder]:
    """The finished members of a configuration's ensemble, by variant; the run itself comes first."""
    members = {STANDARD: RunFolder(config, root)}
    members |= {name: RunFolder(config, replicas_folder(name, root)) for name in VARIANTS if name != STANDARD}
    stated = {name: {} if name == STANDARD else {"variant": name} for name in members}
    return {name: run for name, run in members.items() if run.state("train", stated[name]) == "done"}


def ensembles(root: Path | None = None) -> list[RunConfig]:
    """The configurations that have a finished member beside the run itself, by run id."""
    folders = [replicas_folder(name, root) for name in VARIANTS]
    found = {run.run_id: run.config for folder in folders for run in stored_runs(folder)}
    return [found[run_id] for run_id in sorted(found)]


def distinct(members: dict[str, RunFolder]) -> dict[str, list[str]]:
    """Variants whose mini-batch losses are the same to the last bit, under the first of them."""
    groups: dict[bytes, list[str]] = {}
    for name, run in members.items():
        groups.setdefault(run.iterations()["loss"].to_numpy().tobytes(), []).append(name)
    return {names[0]: names for names in groups.values()}


def parting(ours: pd.DataFrame, theirs: pd.DataFrame, bar: float = PARTED) -> tuple[int, int] | None:
    """Epoch and iteration of the first mini-batch whose losses differ by more than ``bar``; None where none does."""
    where = apart(ours, theirs, bar)
    return None if where.empty else (int(where["epoch"].iloc[0]), int(where["iteration"].iloc[0]))


def apart(ours: pd.DataFrame, theirs: pd.DataFrame, bar: float = PARTED) -> pd.DataFrame:
    """Epoch and iteration of all mini-batches whose losses differ by more than ``bar``."""
    both = ours.merge(theirs, on=["epoch", "iteration"], suffixes=("", "_other"))
    return both.loc[(both["loss"] - both["loss_other"]).abs() > bar, ["epoch", "iteration"]]


def partings(members: dict[str, RunFolder], bar: float = PARTED) -> pd.DataFrame:
    """Where each pair of members parts: variant, other, epoch, iteration (missing where they do not)."""
    iterations = {name: run.iterations() for name, run in members.items()}
    rows = [
        (name, other, *(parting(iterations[name], iterations[other], bar) or (None, None)))
        for name, other in itertools.combinations(members, 2)
    ]
    frame = pd.DataFrame(rows, columns=["variant", "other", "epoch", "iteration"])
    return frame.astype({"epoch": "Int64", "iteration": "Int64"})


@dataclass(frozen=True)
class Membership:
    """A value held against a sample of n replicas."""

    value: float
    n: int
    mean: float
    sd: float
    low: float  # the extremes of the sample
    high: float
    rank: float  # of the value among the n + 1, from 1, the smallest
    p_rank: float  # two-sided, exact where all n + 1 are exchangeable: never below 2 / (n + 1)
    predicted: tuple[float, float]  # holds a further member with 95 per cent, for a normal distribution

    @property
    def plausible(self) -> bool:
        """Whether the value lies in the prediction interval."""
        return self.predicted[0] <= self.value <= self.predicted[1]


def membership(value: float, sample: np.ndarray) -> Membership:
    """Whether a value could be a further member of a sample ``(n,)``: its rank, and the prediction interval.

    Ties share their mean rank. The interval is ``mean +- t(n - 1) sd sqrt(1 + 1/n)``.

    Raises:
        ValueError: fewer than three members, or one that is not finite.
    """
    sample = np.asarray(sample, float)
    n = len(sample)
    if n < 3 or not np.isfinite(sample).all():
        raise ValueError(f"a sample of {n} values {sample}; three or more finite ones are needed")
    rank = float(stats.rankdata([value, *sample])[0])
    p_rank = min(1.0, 2 * min(rank, n + 2 - rank) / (n + 1))
    mean, sd = float(sample.mean()), float(sample.std(ddof=1))
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1) * sd * np.sqrt(1 + 1 / n))  # none where all members are the same
    predicted = (mean - half, mean + half)
    return Membership(value, n, mean, sd, float(sample.min()), float(sample.max()), rank, p_rank, predicted)


def ensemble_table(config: RunConfig, root: Path | None = None) -> pd.DataFrame:
    """A row a member: variant, which it repeats to the last bit (if any), the reported numbers, parting from the run.

    The parting is that of the mini-batch losses from the standard member's.
    """
    members = ensemble(config, root)
    if not members:
        return pd.DataFrame()
    repeats = {name: names[0] for names in distinct(members).values() for name in names[1:]}
    iterations = {name: run.iterations() for name, run in members.items()}
    first = iterations.get(STANDARD)
    apart = [(first is not None and parting(own, first)) or (None, None) for own in iterations.values()]
    table = summary(list(members.values()))[["run_id", *QUANTITIES]]
    table.insert(1, "variant", list(members))
    table.insert(2, "same_as", [repeats.get(name) for name in members])
    table[["parting_epoch", "parting_iteration"]] = pd.DataFrame(apart, dtype="Int64")
    return table


def memberships(config: RunConfig, root: Path | None = None) -> dict[str, Membership]:
    """The author's value of each quantity held against the distinct members that have it; fewer than three say none."""
    table = ensemble_table(config, root)
    published = of_run("runs", config)
    if table.empty or published.empty or not config.is_paper_run:
        return {}
    table = table[table["same_as"].isna()]
    samples = {name: table[name].dropna().to_numpy(float) for name in QUANTITIES}
    return {
        name: membership(float(published[name].iloc[0]), sample)
        for name, sample in samples.items()
        if len(sample) >= 3 and published[name].notna().all()
    }
