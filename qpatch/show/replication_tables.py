"""Tables of the replication pages: agreement, ensemble and seeds, with headings and numbers for people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from qpatch.runs.variants import STANDARD, VARIANTS
from qpatch.show.tables import FORMATS, HEADINGS, MISSING, TIMES, formatted, plain
from qpatch.study.claims import CLAIMS, verdict_over_seeds
from qpatch.study.inference import ACCURACIES, LOGS
from qpatch.study.replicas import Membership

NAMES = HEADINGS | {
    "trajectory_pc1_min": "Path, PC 1, least",
    "trajectory_pc1_max": "Path, PC 1, most",
    "trajectory_pc2_min": "Path, PC 2, least",
    "trajectory_pc2_max": "Path, PC 2, most",
    "landscape_max_loss": "Landscape, largest loss",
}
NAMES |= {"best_epoch": "Best epoch", "lambda_max": "λ max"}
NO_LOG = "no log published"
MANY_UNITS = 1000  # beyond, the relative difference says more


def parting_rows(partings: pd.DataFrame) -> Styler:
    """Where each full run parts, of `agreement.run_partings`."""
    rows = []
    for row in partings.itertuples():
        if row.published_epochs:
            parted = "never" if pd.isna(row.parting) else f"epoch {row.parting}"
        elif pd.isna(row.reported):
            parted = NO_LOG
        else:
            parted = f"{NO_LOG}; {'apart' if row.reported_apart else 'together'} at epoch {row.reported}"
        rows.append(
            {
                "Patches": str(row.n_patches),
                "Depth": str(row.depth),
                "Worst loss of epoch 0": MISSING if pd.isna(row.first_epoch) else f"{row.first_epoch:.1e}",
                "Parts in": parted,
                "Worst test loss before": MISSING if pd.isna(row.before) else f"{row.before:.1e}",
            }
        )
    return plain(pd.DataFrame(rows), text=True)


def agreement_rows(table: pd.DataFrame) -> Styler:
    """Numbers that are reported once a run, of an agreement table: published, ours, differences, units."""
    rows = [
        {
            "Patches": str(row.n_patches),
            "Depth": str(row.depth),
            "Quantity": NAMES[row.quantity],
            "Paper": f"{row.published:.6g}",
            "Ours": f"{row.ours:.6g}",
            "Difference": f"{row.difference:.2g}",
            "Per cent": MISSING if row.quantity == "best_epoch" else f"{100 * row.difference / abs(row.published):.2g}",
            "Units": f"{row.units:,.0f}" if row.units <= MANY_UNITS else f"> {MANY_UNITS:,}",
        }
        for row in table.itertuples()
    ]
    return plain(pd.DataFrame(rows), text=True)


def member_rows(table: pd.DataFrame) -> Styler:
    """The members of an ensemble, present or missing: where they part from the first, what they report."""
    known, rows = table.set_index("variant") if len(table) else table, []
    columns = ("best_epoch", "train_loss", "test_loss", "test_accuracy", "lambda_max")
    for name in VARIANTS:
        if not len(table) or name not in known.index:
            rows.append({"Member": name, "Parts": "not run yet"})
            continue
        member = known.loc[name]
        parted = pd.notna(member["parting_epoch"])
        where = f"{member['parting_epoch']}, {member['parting_iteration']}" if parted else "never"
        if pd.notna(member["same_as"]):
            where = f"= {member['same_as']}"
        row = {"Member": name, "Parts": MISSING if name == STANDARD else where}
        rows.append(row | {NAMES[key]: formatted(key, member[key]) for key in columns})
    return plain(pd.DataFrame(rows).fillna(MISSING), text=True)


def variant_rows() -> Styler:
    """What is different in each member."""
    rows = [{"Member": variant.name, "What is different": variant.text} for variant in VARIANTS.values()]
    return plain(pd.DataFrame(rows), text=True)


def membership_rows(memberships: Mapping[str, Membership]) -> Styler:
    """The spread of every reported number, and whether the author's value could be a further member."""
    rows = []
    for name, found in memberships.items():
        show = FORMATS[name].format
        rows.append(
            {
                "Quantity": NAMES[name],
                "Paper": show(found.value),
                "Mean": show(found.mean),
                "s": f"{found.sd:.2g}",
                "Least, most": f"{show(found.low)}, {show(found.high)}",
                "Interval": f"{show(found.predicted[0])}, {show(found.predicted[1])}",
                "Inside?": "yes" if found.plausible else "no",
                "Rank": f"{found.rank:g}/{found.n + 1}",
                "p": f"{found.p_rank:.2f}",
            }
        )
    return plain(pd.DataFrame(rows), text=True)


def seed_rows(table: pd.DataFrame) -> Styler:
    """Mean and standard deviation over seeds of each configuration of a table of seeds."""
    rows, columns = [], ("train_loss", "test_loss", "test_accuracy", "lambda_max")
    for (n_patches, depth, n_parameters), group in table.groupby(["n_patches", "depth", "n_parameters"]):
        row = {"Patches, depth": f"{n_patches}, {depth}", "Parameters": f"{n_parameters:,}", "Seeds": str(len(group))}
        for column in columns:
            values = group[column].dropna()
            many = len(values) > 1
            row[NAMES[column]] = f"{formatted(column, values.mean())} ({values.std():.2g})" if many else MISSING
        rows.append(row)
    return plain(pd.DataFrame(rows), text=True)


def claim_rows(tests: pd.DataFrame) -> Styler:
    """The verdict over seeds on each claim, and the tests that it rests on."""
    rows = []
    for claim in CLAIMS:
        chosen = tests[tests["claim"] == claim.name] if len(tests) else tests
        methods = ", ".join(dict.fromkeys(chosen["method"])) if len(chosen) else MISSING
        rows.append(
            {"Claim": claim.text, "Tests": methods, "Verdict": verdict_over_seeds(claim, tests) or "no data yet"}
        )
    return plain(pd.DataFrame(rows), text=True)


def comparison_rows(tests: pd.DataFrame) -> Styler:
    """Every comparison: what is compared, the estimated effect with its interval, the p-value, the outcome.

    Effects of Welch's tests are shown as factors, second over first; of accuracies in percentage points.
    """
    quantities, rows = {claim.name: claim.quantity for claim in CLAIMS}, []
    for row in tests.itertuples():
        quantity = quantities[row.claim]
        rows.append(
            {
                "Claim": row.claim,
                "Quantity": NAMES.get(quantity, quantity),
                "From": _short(row.first),
                "To": _short(row.second),
                "Effect": _effect(row),
                "Pairs": MISSING if pd.isna(row.pairs) else f"{row.agree:.0f} of {row.pairs:.0f}",
                "p": MISSING if pd.isna(row.p_holm) else f"{row.p_holm:.2g}",
                "Outcome": row.outcome,
            }
        )
    return plain(pd.DataFrame(rows), text=True)


def _short(label: str) -> str:
    """'4 patches, depth 50' as '4, 50'."""
    return label.replace(" patches, depth", ",")


def _effect(row) -> str:
    values = [row.effect, row.low, row.high]
    if row.method == LOGS:
        middle, low, high = (f"{np.exp(value):.2f}" for value in values)
        return f"{TIMES} {middle} ({low}, {high})"
    if row.method == ACCURACIES:
        middle, low, high = (f"{100 * value:+.2f}" for value in values)
        return f"{middle} ({low}, {high})"
    if pd.isna(row.low):
        return f"{row.effect:.3g}"
    return "{:.2f} ({:.2f}, {:.2f})".format(*values)
