"""The paper's claims as comparisons between runs: what the published numbers say, what the stored runs say.

Most claims are trends, judged pair by pair: two runs that differ in depth alone (or in stride alone), neighbours on
the grid, and the question whether the quantity moves the way the paper says. Verdicts rest on full-size runs only, and
where there are several seeds on tests over these (`qpatch.study.verdicts`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from qpatch.config import PAPER_DEPTHS, size_label
from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import paper_runs, small_runs, summary
from qpatch.study.derived import read_table


@dataclass(frozen=True)
class Claim:
    """A claim: when ``along`` grows and ``fixed`` stays, ``quantity`` rises or falls.

    ``fixed`` may be "n_parameters" or "train_loss", which stay when two values are comparable (`COMPARABLE`). Other
    kinds of claim than such a trend: 'level' (the quantity exceeds ``at_least``), 'turn' (along depth, at ``fixed``
    patches, it falls and rises again), 'partial' (a trend that is also tested by a regression over all sizes) and
    'basins' (of the landscape).
    """

    name: str
    text: str
    section: str
    quantity: str
    along: str = ""
    fixed: str = ""
    rises: bool = True
    at_least: float | None = None
    kind: str = "trend"


COMPARABLE = 1.25  # numbers of parameters, or training losses, within this factor are called comparable
TURNING_PATCHES = 4

CLAIMS = (
    Claim("deeper", "More parameters per QNN: a deeper minimum (training loss falls with depth)", "Table 1",
          "train_loss", "depth", "n_patches", rises=False),
    Claim("sharper", "More parameters per QNN: a sharper minimum (λ max rises with depth)", "Table 3",
          "lambda_max", "depth", "n_patches"),
    Claim("flatter", "More patches: a flatter minimum (λ max falls with the number of patches)", "Table 3",
          "lambda_max", "n_patches", "depth", rises=False),
    Claim("flatter-size", "The same at a comparable number of parameters", "Table 3",
          "lambda_max", "n_patches", "n_parameters", rises=False),
    Claim("flatter-loss", "The same at equal training loss", "Tables 1, 3",
          "lambda_max", "n_patches", "train_loss", rises=False, kind="partial"),
    Claim("accurate", "More patches: better test accuracy", "Table 1",
          "test_accuracy", "n_patches", "depth"),
    Claim("general", "At a comparable number of parameters, test loss falls with the number of patches", "Table 1",
          "test_loss", "n_patches", "n_parameters", rises=False),
    Claim("turning", "With four patches, test loss does not fall steadily with depth: it turns up again", "Table 1",
          "test_loss", "depth", "n_patches", kind="turn"),
    Claim("basin", "A single basin as parameters grow", "Fig. 3",
          "basins", "n_parameters", rises=False, kind="basins"),
    Claim("planar", "Two principal components hold more than 0.90 of a trajectory's variance", "Table 4",
          "pc_ratio", at_least=0.90, kind="level"),
)  # fmt: skip


@dataclass(frozen=True)
class Count:
    """How many of the comparisons went the claimed way."""

    agree: int
    total: int

    def __add__(self, other: Count) -> Count:
        return Count(self.agree + other.agree, self.total + other.total)

    def __str__(self):
        return f"{self.agree} of {self.total}" if self.total else "—"


def claim_pairs(claim: Claim, table: pd.DataFrame) -> list[tuple[int, int]]:
    """The pairs of rows, by position, that a trend compares; the second has more of what grows.

    Neighbours along the grid; at a comparable number of parameters or training loss, every pair.
    """
    values = table[claim.along].to_numpy()
    if claim.fixed in ("n_parameters", "train_loss"):
        sizes, places = table[claim.fixed].to_numpy(), range(len(table))
        return [
            (i, j)
            for i in places
            for j in places
            if values[i] < values[j] and max(sizes[i], sizes[j]) <= COMPARABLE * min(sizes[i], sizes[j])
        ]
    pairs = []
    for _, places in table.reset_index(drop=True).groupby(claim.fixed).groups.items():
        pairs += itertools.pairwise(sorted(places, key=lambda place: values[place]))
    return pairs


def compare(claim: Claim, table: pd.DataFrame) -> Count:
    """Count the comparisons of one comparable set of runs; rows without the quantity are left out.

    What a table of runs cannot tell (basins of landscapes) counts nothing.
    """
    if claim.kind == "basins":
        return Count(0, 0)
    table = _known(claim, table)
    values = table[claim.quantity].to_numpy()
    if claim.kind == "level":
        return Count(int((values > claim.at_least).sum()), len(table))
    if claim.kind == "turn":
        row = table[table["n_patches"] == TURNING_PATCHES].sort_values(claim.along)[claim.quantity]
        return Count(int(turns_up(row.diff().dropna())), 1) if len(row) > 2 else Count(0, 0)
    pairs = claim_pairs(claim, table)
    return Count(sum(_goes(claim, values[first], values[second]) for first, second in pairs), len(pairs))


def exceptions(claim: Claim, table: pd.DataFrame) -> list[str]:
    """In words, the comparisons of a trend (or the runs of a level) that are not as the claim says, with the values."""
    if claim.kind not in ("trend", "partial", "level"):
        return []
    rows = _known(claim, table).to_dict("records")
    if claim.kind == "level":
        return [f"{_size(row)}: {row[claim.quantity]:.3g}" for row in rows if row[claim.quantity] <= claim.at_least]
    pairs = [(rows[first], rows[second]) for first, second in claim_pairs(claim, _known(claim, table))]
    return [
        f"{_size(a)} to {_size(b)}: {a[claim.quantity]:.3g} to {b[claim.quantity]:.3g}"
        for a, b in pairs
        if not _goes(claim, a[claim.quantity], b[claim.quantity])
    ]


def _known(claim: Claim, table: pd.DataFrame) -> pd.DataFrame:
    """The rows that have the quantity of a claim."""
    return table.dropna(subset=[claim.quantity])


def _goes(claim: Claim, first: float, second: float) -> bool:
    """Whether a quantity moves the claimed way; one that stays does not."""
    return second > first if claim.rises else second < first


def _size(row: dict) -> str:
    return size_label(row["n_patches"], row["depth"])


def turns_up(changes: Sequence[float]) -> bool:
    """Whether a fall is followed, somewhere, by a rise."""
    fallen = False
    for change in changes:
        if fallen and change > 0:
            return True
        fallen = fallen or change < 0
    return False


def comparable_sets(runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Runs grouped so that within a group only stride, depth and the learning rate that follows depth differ."""
    sets: dict[tuple, list[RunFolder]] = {}
    for run in runs:
        free = {"stride", "depth", "learning_rate"}
        key = tuple(sorted((name, value) for name, value in run.config.to_dict().items() if name not in free))
        sets.setdefault(key, []).append(run)
    return list(sets.values())


def count_claim(claim: Claim, runs: Sequence[RunFolder]) -> Count:
    """Count a claim's comparisons over all comparable sets of runs."""
    return sum((compare(claim, summary(group)) for group in comparable_sets(runs)), Count(0, 0))


def verdict(published: Count, ours: Count) -> str:
    """In words, from one full-size run a configuration: whether the claim holds, and when it cannot be said yet."""
    if not ours.total:
        return "not yet run at full size" if published.total else ""
    if ours.total < published.total:
        return f"open: {ours} so far, of {published.total} comparisons"
    if ours.total == 1:
        return "one comparison, which agrees" if ours.agree else "one comparison, which does not agree"
    if ours.agree == ours.total:
        return "confirmed"
    return "partly confirmed" if 2 * ours.agree > ours.total else "not confirmed"


def verdict_over_seeds(claim: Claim, tests: pd.DataFrame) -> str:
    """In words, from the tests over seeds (`verdicts`): how many comparisons hold, and what is against it."""
    rows = tests[tests["claim"] == claim.name] if len(tests) else tests
    if rows.empty:
        return ""
    outcomes = rows["outcome"].value_counts()
    held, against = outcomes.get("holds", 0), outcomes.get("contradicted", 0)
    if claim.kind == "turn":
        steps = rows.sort_values("step")
        signs = [{"rises": 1, "falls": -1}.get(outcome, 0) for outcome in steps["outcome"]]
        if len(steps) < len(PAPER_DEPTHS) - 1:
            return "not tested: seeds are missing at some of its depths"
        return "holds" if turns_up(signs) else "undecided" if 0 in signs else "does not hold"
    if claim.kind == "level" and against:
        counts = [f"{row.agree:.0f} of {row.pairs:.0f}" for row in rows.itertuples()]
        replicas = [f"{count} runs of {size}" for count, size in zip(counts[1:], rows["first"][1:], strict=True)]
        rounded = f"; of one seed rounded differently, in {', '.join(replicas)}" if replicas else ""
        return f"does not hold in every run: in {counts[0]} configurations{rounded}"
    if held == len(rows):
        if claim.kind != "trend":
            return "holds"
        return "holds in the one comparison tested" if held == 1 else f"holds in all {held} comparisons tested"
    if against == len(rows):
        return "does not hold"
    if against:
        return f"does not hold throughout: {held} of {len(rows)} comparisons for it, {against} against"
    return f"holds in {held} of {len(rows)} comparisons, the others undecided" if held else "undecided"


def claims_table(runs: Sequence[RunFolder], tests: pd.DataFrame | None = None) -> pd.DataFrame:
    """One row a claim: the verdict, where the paper makes it, its own numbers, ours at full size, ours in small.

    The verdict is that of the tests over seeds where there are any (``tests``, or the stored table), else that of the
    single full-size runs, with a word on what is missing.
    """
    tests = read_table("verdicts") if tests is None else tests
    full, small = paper_runs(runs), small_runs(runs)
    rows = []
    for claim in CLAIMS:
        published, ours = compare(claim, reference_table("runs")), count_claim(claim, full)
        tested, single = verdict_over_seeds(claim, tests), verdict(published, ours)
        untested = f"{single}; no test over seeds yet" if single else "no test over seeds yet"
        rows.append(
            {
                "Claim": claim.text,
                "Verdict": tested or untested,
                "In the paper": claim.section,
                "Paper's numbers": str(published),
                "Ours, full size": str(ours),
                "Ours, small runs": str(count_claim(claim, small)),
            }
        )
    return pd.DataFrame(rows)
