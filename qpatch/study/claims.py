"""The paper's claims, and two tables of them: the tests over seeds, a row a comparison, and the balance, a row a claim.

Verdicts rest on full-size runs only, and where there are several seeds on tests over these. All p-values of the table
of tests are adjusted together, by Holm's method.
"""

from collections.abc import Sequence

import pandas as pd

from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import paper_runs, small_runs, summary
from qpatch.study.inference import holm
from qpatch.study.kinds import Basins, Claim, Count, Evidence, Level
from qpatch.study.trends import AccuracyTrend, PartialTrend, Trend, Turn

_CLAIMS = (
    Trend("deeper", "More parameters per QNN: a deeper minimum (training loss falls with depth)", "Table 1",
          "train_loss", rises=False, along="depth", fixed="n_patches"),
    Trend("sharper", "More parameters per QNN: a sharper minimum (λ max rises with depth)", "Table 3",
          "lambda_max", along="depth", fixed="n_patches"),
    Trend("flatter", "More patches: a flatter minimum (λ max falls with the number of patches)", "Table 3",
          "lambda_max", rises=False, along="n_patches", fixed="depth"),
    Trend("flatter-size", "The same at a comparable number of parameters", "Table 3",
          "lambda_max", rises=False, along="n_patches", fixed="n_parameters"),
    PartialTrend("flatter-loss", "The same at equal training loss", "Tables 1, 3",
                 "lambda_max", rises=False, along="n_patches", fixed="train_loss"),
    AccuracyTrend("accurate", "More patches: better test accuracy", "Table 1",
                  "test_accuracy", along="n_patches", fixed="depth"),
    Trend("general", "At a comparable number of parameters, test loss falls with the number of patches", "Table 1",
          "test_loss", rises=False, along="n_patches", fixed="n_parameters"),
    Turn("turning", "With four patches, test loss does not fall steadily with depth: it turns up again", "Table 1",
         "test_loss", along="depth", fixed="n_patches"),
    Basins("basin", "A single basin as parameters grow", "Fig. 3", "basins", rises=False),
    Level("planar", "Two principal components hold more than 0.90 of a trajectory's variance", "Table 4",
          "pc_ratio", at_least=0.90),
)  # fmt: skip
CLAIMS = {claim.name: claim for claim in _CLAIMS}
COLUMNS = [
    "claim", "step", "first", "second", "method", "effect", "low", "high", "p", "p_holm", "n", "agree", "pairs",
    "outcome",
]  # fmt: skip


def verdicts_table(evidence: Evidence) -> pd.DataFrame:
    """Every comparison of every claim that the data reach, each with the test that it rests on; columns `COLUMNS`."""
    rows = [row for claim in CLAIMS.values() for row in claim.rows(evidence)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    tested = table["p"].notna()
    table["p_holm"] = pd.Series(holm(table.loc[tested, "p"].astype(float)), table.index[tested], float)
    judged = [CLAIMS[row.claim].outcome(row.effect, row.p_holm) for row in table[tested].itertuples()]
    table.loc[tested, "outcome"] = judged
    return table


def claims_table(runs: Sequence[RunFolder], tests: pd.DataFrame) -> pd.DataFrame:
    """One row a claim: the verdict, where the paper makes it, its own numbers, ours at full size, ours in small.

    The verdict is that of the tests over seeds (``tests``, of `verdicts_table`) where there are any, else that of the
    single full-size runs, with a word on what is missing.
    """
    full, small = paper_runs(runs), small_runs(runs)
    rows = []
    for claim in CLAIMS.values():
        published, ours = claim.compare(reference_table("runs")), count_claim(claim, full)
        untested = "; ".join(filter(None, [verdict(published, ours), "no test over seeds yet"]))
        rows.append(
            {
                "Claim": claim.text,
                "Verdict": claim.verdict(tests) or untested,
                "In the paper": claim.section,
                "Paper's numbers": str(published),
                "Ours, full size": str(ours),
                "Ours, small runs": str(count_claim(claim, small)),
            }
        )
    return pd.DataFrame(rows)


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


def count_claim(claim: Claim, runs: Sequence[RunFolder]) -> Count:
    """Count a claim's comparisons over all comparable sets of runs."""
    return sum((claim.compare(summary(group)) for group in comparable_sets(runs)), Count(0, 0))


def comparable_sets(runs: Sequence[RunFolder]) -> list[list[RunFolder]]:
    """Runs grouped so that within a group only stride, depth and the learning rate that follows depth differ."""
    sets: dict[tuple, list[RunFolder]] = {}
    for run in runs:
        free = {"stride", "depth", "learning_rate"}
        key = tuple(sorted((name, value) for name, value in run.config.to_dict().items() if name not in free))
        sets.setdefault(key, []).append(run)
    return list(sets.values())
