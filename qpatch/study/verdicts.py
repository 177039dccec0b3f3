"""The paper's claims tested over seeds: stored runs in, one row a comparison out, each with the test that it rests on.

Losses and eigenvalues are compared by Welch's t-test of their logarithms, accuracies by a Welch test that
knows that all runs answered the same test images. All p-values of the table are adjusted together, by Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qpatch.config import size_label
from qpatch.landscape.grid import count_basins
from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder
from qpatch.study.claims import CLAIMS, TURNING_PATCHES, Claim, claim_pairs
from qpatch.study.inference import (
    Test,
    holm,
    judge,
    pairs_that_agree,
    partial_slope,
    rank_trend,
    welch_of_accuracies,
    welch_of_logs,
)
from qpatch.study.seeds import SIZE, unpack

COLUMNS = [
    "claim", "step", "first", "second", "method", "effect", "low", "high", "p", "p_holm", "n", "agree", "pairs",
    "outcome",
]  # fmt: skip
FEWEST_LANDSCAPES = 5  # Kendall's test of fewer cannot reach the 5 per cent level whatever it sees
FEWEST_POINTS = 5  # of a regression with three coefficients


def verdicts_table(seeds: pd.DataFrame, images: pd.DataFrame, full: Sequence[RunFolder] = ()) -> pd.DataFrame:
    """Every comparison of every claim that the data reach; the columns are `COLUMNS`.

    Args:
        seeds: of `seeds.seeds_table`: several seeds of each configuration.
        images: of `seeds.images_table`.
        full: full-size runs, replicas among them, for the claims about trajectories and landscapes.
    """
    rows = []
    for claim in CLAIMS:
        if claim.kind in ("trend", "turn"):
            rows += _pair_rows(claim, seeds, images)
        elif claim.kind == "partial":
            rows += _pair_rows(claim, seeds, images) + _partial_rows(claim, seeds)
        elif claim.kind == "level":
            rows += _level_rows(claim, full)
        else:
            rows += _basin_rows(claim, full)
    table = pd.DataFrame(rows, columns=[*COLUMNS, "rises", "kind"])
    tested = table["p"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p"].astype(float))
    table.loc[tested, "outcome"] = [_outcome(row) for row in table[tested].itertuples()]
    return table[COLUMNS]


def _outcome(row) -> str:
    """The judgement of a comparison; of a claim that is about a fall and a rise, which of the two it is."""
    judged = judge(row.effect, row.p_holm, row.rises)
    return {"holds": "rises", "contradicted": "falls"}.get(judged, judged) if row.kind == "turn" else judged


def _pair_rows(claim: Claim, seeds: pd.DataFrame, images: pd.DataFrame) -> list[dict]:
    if seeds.empty:
        return []
    seeds = seeds.dropna(subset=[claim.quantity])
    losses = np.log(seeds["train_loss"]).groupby([seeds[name] for name in SIZE])
    sizes = np.exp(losses.mean())[losses.size() > 1].reset_index()  # with the geometric mean of their training losses
    if claim.kind == "turn":
        sizes = sizes[sizes["n_patches"] == TURNING_PATCHES].reset_index(drop=True)
    rows = []
    for step, (i, j) in enumerate(claim_pairs(claim, sizes)):
        groups = [seeds.merge(sizes.iloc[[place]][SIZE], on=SIZE) for place in (i, j)]
        test = _test_pair(claim, groups, images)
        if test is not None:
            agree = pairs_that_agree(*(group[claim.quantity] for group in groups), rises=claim.rises)
            labels = [_label(sizes.iloc[place]) for place in (i, j)]
            rows.append(_row(claim, step, labels, test, agree))
    return rows


def _test_pair(claim: Claim, groups: list[pd.DataFrame], images: pd.DataFrame) -> Test | None:
    if claim.quantity != "test_accuracy":
        return welch_of_logs(*(group[claim.quantity] for group in groups))
    known = {row["run_id"]: unpack(row["right"], row["images"]) for row in images.to_dict("records")}
    if not all(run_id in known for group in groups for run_id in group["run_id"]):
        return None
    return welch_of_accuracies(*(np.array([known[run_id] for run_id in group["run_id"]]) for group in groups))


def _partial_rows(claim: Claim, seeds: pd.DataFrame) -> list[dict]:
    """One point a configuration, the means of its seeds: these differ in patches and loss hardly or not at all."""
    if seeds.empty:
        return []
    names = [claim.quantity, claim.fixed, claim.along]
    logs = np.log(seeds.dropna(subset=names).set_index(SIZE, drop=False)[names].astype(float))
    means = logs.groupby(level=SIZE).mean()
    if len(means) < FEWEST_POINTS or means[claim.along].nunique() < 2:
        return []
    return [_row(claim, 0, ["all", "all"], partial_slope(*(means[name].to_numpy() for name in names)))]


def _level_rows(claim: Claim, full: Sequence[RunFolder]) -> list[dict]:
    """A universal statement: one run below the level is enough against it.

    A row for all configurations, the run itself for each, then one for each configuration that has replicas.
    """
    shares: dict[str, list[float]] = {}
    configs = {run.run_id: run.config for run in full}
    for run in full:
        if run.state("landscape") == "done":
            shares.setdefault(run.run_id, []).append(sum(run.record("landscape")["ratios"]))
    if not shares:
        return []
    complete = len(shares) == len(reference_table("runs"))
    rows = [_level_row(claim, "all", [found[0] for found in shares.values()], complete)]
    for run_id, found in shares.items():
        if len(found) > 1:
            label = size_label(configs[run_id].n_patches, configs[run_id].depth)
            rows.append(_level_row(claim, label, found, complete))
    return [row | {"step": step} for step, row in enumerate(rows)]


def _level_row(claim: Claim, label: str, shares: Sequence[float], complete: bool) -> dict:
    values = np.array(shares)
    held = int((values > claim.at_least).sum())
    test = Test("count of runs", float(values.min()), np.nan, np.nan, np.nan, (len(values),))
    outcome = "contradicted" if held < len(values) else "holds" if complete else "undecided"
    return _row(claim, 0, [label, label], test, (held, len(values))) | {"outcome": outcome}


def _basin_rows(claim: Claim, full: Sequence[RunFolder]) -> list[dict]:
    """Do the landscapes' basins get fewer as parameters grow? One run a configuration: replicas are left out."""
    maps = {run.run_id: run for run in full if run.state("landscape") == "done" and len(run.landscape().x) > 2}
    if not maps:
        return []
    basins = np.array([count_basins(run.landscape().loss) for run in maps.values()])
    sizes = np.array([run.config.n_angles for run in maps.values()])
    single = (int((basins == 1).sum()), len(maps))
    if len(maps) < FEWEST_LANDSCAPES or len(set(basins)) == 1:
        test = Test("count of basins", float(basins.max()), np.nan, np.nan, np.nan, (len(maps),))
        return [_row(claim, 0, ["all", "all"], test, single) | {"outcome": "undecided"}]
    return [_row(claim, 0, ["all", "all"], rank_trend(basins, sizes), single)]


def _row(claim: Claim, step: int, labels: list[str], test: Test, agree: tuple[int, int] | None = None) -> dict:
    agreeing, pairs = agree or (None, None)
    return {
        "claim": claim.name, "step": step, "first": labels[0], "second": labels[1], "method": test.method,
        "effect": test.effect, "low": test.low, "high": test.high, "p": test.p, "p_holm": np.nan,
        "n": " + ".join(map(str, test.n)), "agree": agreeing, "pairs": pairs, "outcome": "", "rises": claim.rises,
        "kind": claim.kind,
    }  # fmt: skip


def _label(size: pd.Series) -> str:
    return size_label(size["n_patches"], size["depth"])
