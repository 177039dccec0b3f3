"""Kinds of claims: each with what it compares among runs, how it is tested over seeds, and its outcome in words.

Most claims are `trends`; those about trajectories and landscapes are here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from qpatch.config import run_label, size_label
from qpatch.landscape.grid import count_basins
from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder
from qpatch.study import inference
from qpatch.study.inference import Test

FEWEST_LANDSCAPES = 5  # Kendall's test of fewer cannot reach the 5 per cent level whatever it sees


@dataclass(frozen=True)
class Count:
    """How many of the comparisons went the claimed way."""

    agree: int
    total: int

    def __add__(self, other: Count) -> Count:
        return Count(self.agree + other.agree, self.total + other.total)

    def __str__(self):
        return f"{self.agree} of {self.total}" if self.total else "—"


@dataclass(frozen=True)
class Evidence:
    """What claims are tested on: the tables of `seeds`, full-size runs, one a configuration, and their replicas.

    Replicas are rounded otherwise; they never stand for the run itself.
    """

    seeds: pd.DataFrame
    images: pd.DataFrame
    full: Sequence[RunFolder] = ()
    replicas: Sequence[RunFolder] = ()


@dataclass(frozen=True)
class Claim:
    """A claim about a quantity; its class says how runs are compared, tested and judged."""

    name: str
    text: str
    section: str  # where the paper makes it
    quantity: str  # a column of a summary of runs
    rises: bool = True  # whether the quantity is said to rise, or to fall

    def comparisons(self, table: pd.DataFrame) -> Iterable[tuple[Sequence[int], bool]]:
        """What one comparable set of runs, all with the quantity, has to compare: rows by position, and the outcome."""
        return ()

    def compare(self, table: pd.DataFrame) -> Count:
        """Count the comparisons of one comparable set of runs; rows without the quantity are left out."""
        agreed = [agrees for _, agrees in self.comparisons(self._known(table))]
        return Count(sum(agreed), len(agreed))

    def exceptions(self, table: pd.DataFrame) -> list[str]:
        """In words, the comparisons that are not as the claim says, with the values."""
        known = self._known(table)
        runs = known.to_dict("records")
        against = [[runs[place] for place in places] for places, agrees in self.comparisons(known) if not agrees]
        values = [" to ".join(f"{run[self.quantity]:.3g}" for run in compared) for compared in against]
        return [f"{' to '.join(map(size_of, runs))}: {shown}" for runs, shown in zip(against, values, strict=True)]

    def _known(self, table: pd.DataFrame) -> pd.DataFrame:
        return table.dropna(subset=[self.quantity])

    def rows(self, evidence: Evidence) -> list[dict]:
        """The claim's rows of `claims.verdicts_table`, without adjusted p-values."""
        raise NotImplementedError

    def outcome(self, effect: float, p: float) -> str:
        """The judgement of one test, by its adjusted p-value."""
        return inference.judge(effect, p, self.rises)

    def verdict(self, tests: pd.DataFrame) -> str:
        """In words, from all tests: how many comparisons hold, and what is against it; '' where there are none."""
        rows = tests[tests["claim"] == self.name] if len(tests) else tests
        return self._words(rows) if len(rows) else ""

    def _words(self, rows: pd.DataFrame) -> str:
        held, against = ((rows["outcome"] == outcome).sum() for outcome in ("holds", "contradicted"))
        if held == len(rows):
            return "holds"
        if against == len(rows):
            return "does not hold"
        if against:
            return f"does not hold throughout: {held} of {len(rows)} comparisons for it, {against} against"
        rest = f"the other{'s' if len(rows) > held + 1 else ''} undecided"
        return f"holds in {held} of {len(rows)} comparisons, {rest}" if held else "undecided"

    def _row(self, test: Test, first: str = "all", second: str | None = None, step: int = 0, **others) -> dict:
        named = {"claim": self.name, "step": step, "first": first, "second": second or first}
        return named | vars(test) | {"n": " + ".join(map(str, test.n)), "outcome": ""} | others


@dataclass(frozen=True)
class Level(Claim):
    """A universal statement: the quantity of every run exceeds ``at_least``; one run below is enough against it.

    It is about the variance that a stored landscape's plane holds.
    """

    at_least: float = 0.0

    def comparisons(self, table: pd.DataFrame) -> Iterable[tuple[Sequence[int], bool]]:
        return [((place,), value > self.at_least) for place, value in enumerate(table[self.quantity])]

    def rows(self, evidence: Evidence) -> list[dict]:
        """A row for all configurations, the run itself for each, then one for each with replicas, these included."""
        full, replicas, members = _shares(evidence.full), _shares(evidence.replicas), {}
        if not full:
            return []
        for label, share in full + replicas:
            members.setdefault(label, []).append(share)
        samples = {"all": [share for _, share in full]}
        samples |= {label: shares for label, shares in members.items() if len(shares) > 1}
        at_best = "holds" if len(full) == len(reference_table("runs")) else "undecided"
        rows = []
        for step, (label, shares) in enumerate(samples.items()):
            held, n = sum(share > self.at_least for share in shares), len(shares)
            test, outcome = Test("count of runs", min(shares), n=(n,)), "contradicted" if held < n else at_best
            rows.append(self._row(test, label, step=step, agree=held, pairs=n, outcome=outcome))
        return rows

    def _words(self, rows: pd.DataFrame) -> str:
        if "contradicted" not in set(rows["outcome"]):
            return super()._words(rows)
        every, *replicated = [f"{row.agree:.0f} of {row.pairs:.0f}" for row in rows.itertuples()]
        found = [f"{count} runs of {size}" for count, size in zip(replicated, rows["first"][1:], strict=True)]
        rounded = f"; of one seed rounded differently, in {', '.join(found)}" if found else ""
        return f"does not hold in every run: in {every} configurations{rounded}"


class Basins(Claim):
    """The landscapes' basins get fewer as parameters grow: Kendall's rank correlation, one run a configuration."""

    def _known(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[:0]  # a table of runs cannot tell

    def rows(self, evidence: Evidence) -> list[dict]:
        done = [run for run in evidence.full if run.state("landscape") == "done"]
        maps = [(run.config.n_angles, run.landscape()) for run in done]
        maps = [(size, landscape) for size, landscape in maps if len(landscape.x) > 2]  # not the corners alone
        if not maps:
            return []
        basins = np.array([count_basins(landscape.loss) for _, landscape in maps])
        single = {"agree": int((basins == 1).sum()), "pairs": len(maps)}
        if len(maps) < FEWEST_LANDSCAPES or len(set(basins)) == 1:
            test = Test("count of basins", float(basins.max()), n=(len(maps),))
            return [self._row(test, outcome="undecided", **single)]
        return [self._row(inference.rank_trend(basins, np.array([size for size, _ in maps])), **single)]


def _shares(runs: Sequence[RunFolder]) -> list[tuple[str, float]]:
    """Of each run that has a landscape, its label and the share of the path's variance that the plane holds."""
    done = [run for run in runs if run.state("landscape") == "done"]
    return [(run_label(run.config), sum(run.record("landscape")["ratios"])) for run in done]


def size_of(size: Mapping) -> str:
    """What tells a configuration from others, of a row that has its numbers."""
    return size_label(size["n_patches"], size["depth"])
