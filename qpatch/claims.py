"""The paper's claims as comparisons between runs: what the published numbers say, what the stored runs say.

A claim is a trend, so it is judged pair by pair: two runs that differ in depth alone (or in stride alone), neighbours
on the grid, and the question whether the quantity moves the way the paper says. Verdicts rest on full-size runs only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from qpatch.results import RunFolder, reference_table, summary


@dataclass(frozen=True)
class Claim:
    """A claim: when ``along`` grows and ``fixed`` stays, ``quantity`` rises or falls; or it exceeds ``at_least``."""

    name: str
    text: str
    section: str
    quantity: str
    along: str = ""
    fixed: str = ""
    rises: bool = True
    at_least: float | None = None


CLAIMS = (
    Claim("deeper", "More parameters per QNN: a deeper minimum (training loss falls with depth)", "Table 1",
          "train_loss", "depth", "n_patches", rises=False),
    Claim("sharper", "More parameters per QNN: a sharper minimum (λ max rises with depth)", "Table 3",
          "lambda_max", "depth", "n_patches"),
    Claim("flatter", "More patches: a flatter minimum (λ max falls with the number of patches)", "Table 3",
          "lambda_max", "n_patches", "depth", rises=False),
    Claim("accurate", "More patches: better test accuracy", "Table 1",
          "test_accuracy", "n_patches", "depth"),
    Claim("planar", "Two principal components hold more than 0.90 of a trajectory's variance", "Table 4",
          "pc_ratio", at_least=0.90),
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


def compare(claim: Claim, table: pd.DataFrame) -> Count:
    """Count the comparisons of one comparable set of runs; rows without the quantity are left out."""
    if claim.quantity == "pc_ratio":
        table = table.assign(pc_ratio=table["pc1_ratio"] + table["pc2_ratio"])
    table = table.dropna(subset=[claim.quantity])
    if claim.at_least is not None:
        return Count(int((table[claim.quantity] > claim.at_least).sum()), len(table))
    count = Count(0, 0)
    for _, group in table.groupby(claim.fixed):
        change = group.sort_values(claim.along)[claim.quantity].diff().dropna()
        agree = change > 0 if claim.rises else change < 0
        count += Count(int(agree.sum()), len(change))
    return count


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
    """In words, from the full-size runs: whether the claim holds, and when it cannot be said yet."""
    if not ours.total:
        return "not yet run at full size"
    if ours.total < published.total:
        return f"open: {ours} so far, of {published.total} comparisons"
    if ours.agree == ours.total:
        return "confirmed"
    return "partly confirmed" if 2 * ours.agree > ours.total else "not confirmed"


def claims_table(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """One row a claim: where the paper makes it, its own numbers, ours at full size, ours in small, the verdict."""
    full = [run for run in runs if run.config.is_paper_run]
    small = [run for run in runs if not run.config.is_paper_run]
    rows = []
    for claim in CLAIMS:
        published, ours = compare(claim, reference_table("runs")), count_claim(claim, full)
        rows.append(
            {
                "Claim": claim.text,
                "In the paper": claim.section,
                "Paper's numbers": str(published),
                "Ours, full size": str(ours),
                "Ours, small runs": str(count_claim(claim, small)),
                "Verdict": verdict(published, ours),
            }
        )
    return pd.DataFrame(rows)
