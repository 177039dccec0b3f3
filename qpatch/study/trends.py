"""Kinds of claims about pairs of runs: two that differ in depth alone (or in stride alone), neighbours on the grid.

The question is whether the quantity moves the way the paper says.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qpatch.config import PAPER_DEPTHS
from qpatch.study import inference
from qpatch.study.inference import Test
from qpatch.study.kinds import Claim, Evidence, size_of
from qpatch.study.seeds import SIZE, unpack

COMPARABLE = 1.25  # numbers of parameters, or training losses, within this factor are called comparable
TURNING_PATCHES = 4
FEWEST_POINTS = 5  # of a regression with three coefficients


@dataclass(frozen=True)
class Trend(Claim):
    """When ``along`` grows and ``fixed`` stays, the quantity rises or falls.

    ``fixed`` may be "n_parameters" or "train_loss", which stay when two values are comparable (`COMPARABLE`). Losses
    and eigenvalues are tested by Welch's t-test of their logarithms.
    """

    along: str = ""
    fixed: str = ""

    def pairs(self, table: pd.DataFrame) -> list[tuple[int, int]]:
        """The pairs of rows, by position, that are compared; the second has more of what grows.

        Neighbours along the grid; at a comparable number of parameters or training loss, every pair.
        """
        values = table[self.along].to_numpy()
        if self.fixed in ("n_parameters", "train_loss"):
            sizes, places = table[self.fixed].to_numpy(), range(len(table))
            return [
                (i, j)
                for i, j in itertools.product(places, places)
                if values[i] < values[j] and max(sizes[i], sizes[j]) <= COMPARABLE * min(sizes[i], sizes[j])
            ]
        groups = table.reset_index(drop=True).groupby(self.fixed).groups.values()
        ordered = (sorted(places, key=lambda place: values[place]) for places in groups)
        return [pair for places in ordered for pair in itertools.pairwise(places)]

    def comparisons(self, table: pd.DataFrame) -> Iterable[tuple[Sequence[int], bool]]:
        values = table[self.quantity].to_numpy()
        changes = [(pair, values[pair[1]] - values[pair[0]]) for pair in self.pairs(table)]
        return [(pair, change > 0 if self.rises else change < 0) for pair, change in changes]

    def rows(self, evidence: Evidence) -> list[dict]:
        if evidence.seeds.empty:
            return []
        seeds = evidence.seeds.dropna(subset=[self.quantity])
        sizes, rows = self._sizes(seeds), []
        for step, pair in enumerate(self.pairs(sizes)):
            groups = [seeds.merge(sizes.iloc[[place]][SIZE], on=SIZE) for place in pair]
            test = self._test(groups, evidence)
            if test is not None:
                agree, pairs = inference.pairs_that_agree(*(group[self.quantity] for group in groups), self.rises)
                labels = [size_of(sizes.iloc[place]) for place in pair]
                rows.append(self._row(test, *labels, step, agree=agree, pairs=pairs))
        return rows

    def _sizes(self, seeds: pd.DataFrame) -> pd.DataFrame:
        """The configurations with several seeds, with the geometric mean of their training losses."""
        losses = np.log(seeds["train_loss"]).groupby([seeds[name] for name in SIZE])
        return np.exp(losses.mean())[losses.size() > 1].reset_index()

    def _test(self, groups: list[pd.DataFrame], evidence: Evidence) -> Test | None:
        return inference.welch_of_logs(*(group[self.quantity] for group in groups))

    def _words(self, rows: pd.DataFrame) -> str:
        words, n = super()._words(rows), len(rows)
        tested = f"all {n} comparisons" if n > 1 else "the one comparison"
        return f"holds in {tested} tested" if words == "holds" else words


class AccuracyTrend(Trend):
    """A trend of test accuracies, by a Welch test that knows that all runs answered the same test images."""

    def _test(self, groups: list[pd.DataFrame], evidence: Evidence) -> Test | None:
        known = {row["run_id"]: unpack(row["right"], row["images"]) for row in evidence.images.to_dict("records")}
        if not all(run_id in known for group in groups for run_id in group["run_id"]):
            return None
        right = (np.array([known[run_id] for run_id in group["run_id"]]) for group in groups)
        return inference.welch_of_accuracies(*right)


class PartialTrend(Trend):
    """A trend that is also tested by a regression over all sizes, at equal ``fixed``.

    One point a configuration, the means of its seeds: these differ in patches and loss hardly or not at all.
    """

    _words = Claim._words  # its tests are not comparisons alone

    def rows(self, evidence: Evidence) -> list[dict]:
        rows, names = super().rows(evidence), [self.quantity, self.fixed, self.along]
        if evidence.seeds.empty:
            return rows
        logs = np.log(evidence.seeds.dropna(subset=names).set_index(SIZE, drop=False)[names].astype(float))
        means = logs.groupby(level=SIZE).mean()
        if len(means) < FEWEST_POINTS or means[self.along].nunique() < 2:
            return rows
        return [*rows, self._row(inference.partial_slope(*(means[name].to_numpy() for name in names)))]


class Turn(Trend):
    """At `TURNING_PATCHES` patches the quantity falls and, somewhere, rises again; a test says which of the two."""

    def comparisons(self, table: pd.DataFrame) -> Iterable[tuple[Sequence[int], bool]]:
        row = table.reset_index()[table["n_patches"].to_numpy() == TURNING_PATCHES].sort_values(self.along)
        return [(tuple(row.index), _turns_up(row[self.quantity].diff().dropna()))] if len(row) > 2 else []

    def _sizes(self, seeds: pd.DataFrame) -> pd.DataFrame:
        sizes = super()._sizes(seeds)
        return sizes[sizes["n_patches"] == TURNING_PATCHES].reset_index(drop=True)

    def outcome(self, effect: float, p: float) -> str:
        judged = super().outcome(effect, p)
        return {"holds": "rises", "contradicted": "falls"}.get(judged, judged)

    def _words(self, rows: pd.DataFrame) -> str:
        if len(rows) < len(PAPER_DEPTHS) - 1:
            return "not tested: seeds are missing at some of its depths"
        signs = [{"rises": 1, "falls": -1}.get(outcome, 0) for outcome in rows.sort_values("step")["outcome"]]
        return "holds" if _turns_up(signs) else "undecided" if 0 in signs else "does not hold"


def _turns_up(changes: Iterable[float]) -> bool:
    """Whether a fall is followed, somewhere, by a rise."""
    later = itertools.dropwhile(lambda change: change >= 0, changes)
    return any(change > 0 for change in later)
