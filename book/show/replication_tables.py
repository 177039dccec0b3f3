"""Tables of the replication pages: agreement, ensemble and seeds, with headings and numbers for people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from book.show.tables import COLUMNS, HEADINGS, MISSING, TIMES, formatted, line, plain, significant, worded
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.variants import STANDARD, VARIANTS
from qpatch.study.claims import CLAIMS
from qpatch.study.inference import ACCURACIES, LOGS
from qpatch.study.replicas import Membership

NAMES = HEADINGS | {
    "trajectory_pc1_min": "Path, PC 1, least",
    "trajectory_pc1_max": "Path, PC 1, most",
    "trajectory_pc2_min": "Path, PC 2, least",
    "trajectory_pc2_max": "Path, PC 2, most",
    "landscape_max_loss": "Landscape, largest loss",
    "best_epoch": "Best epoch",
}
NO_LOG = "no log published"
SHORT_CLAIMS = {
    "deeper": "deeper minimum",
    "sharper": "sharper minimum",
    "flatter": "flatter",
    "flatter-size": "flatter, comparable size",
    "flatter-loss": "flatter, equal loss",
    "accurate": "more accurate",
    "general": "generalises better",
    "turning": "a turn",
    "basin": "a single basin",
    "planar": "two components",
}
MANY_UNITS = 1000  # beyond, the relative difference says more
REPORTED = ("best_epoch", "train_loss", "test_loss", "test_accuracy", "lambda_max")


def parting_rows(partings: pd.DataFrame) -> Styler:
    """Where each full run parts, of `agreement.run_partings`."""
    columns = {
        "Patches": "{n_patches}",
        "Depth": "{depth}",
        "Worst loss of epoch 0": "{first_epoch:.1e}",
        "Parts in": _parts_in,
        "Worst test loss before": "{before:.1e}",
    }
    return worded(partings.to_dict("records"), columns)


def _parts_in(row: Mapping) -> str:
    if row["published_epochs"]:
        return "never" if pd.isna(row["parting"]) else f"epoch {row['parting']}"
    if pd.isna(row["reported"]):
        return NO_LOG
    return f"{NO_LOG}; {'apart' if row['reported_apart'] else 'together'} at epoch {row['reported']}"


def agreement_rows(table: pd.DataFrame) -> Styler:
    """Numbers that are reported once a run, of an agreement table: published, ours, differences, units.

    The paper's and ours have the decimals of the tables of the book, extents two.
    """
    per_cent = (100 * table["difference"] / table["published"].abs()).where(table["quantity"] != "best_epoch")
    columns = {
        "Patches": "{n_patches}",
        "Depth": "{depth}",
        "Quantity": lambda row: NAMES[row["quantity"]],
        "Paper": lambda row: _reported(row, "published"),
        "Ours": lambda row: _reported(row, "ours"),
        "Difference": lambda row: significant(row["difference"], 2),
        "Per cent": lambda row: MISSING if pd.isna(row["per_cent"]) else significant(row["per_cent"], 2),
        "Units": lambda row: f"{row['units']:,.0f}" if row["units"] <= MANY_UNITS else f"> {MANY_UNITS:,}",
    }
    return worded(table.assign(per_cent=per_cent).to_dict("records"), columns)


def _reported(row: Mapping, side: str) -> str:
    return formatted(row["quantity"], row[side]) if row["quantity"] in COLUMNS else f"{row[side]:.2f}"


def member_rows(table: pd.DataFrame) -> Styler:
    """The members of an ensemble, present or missing: where they part from the first, what they report."""
    known = {row["variant"]: row for row in table.to_dict("records")}
    columns = {"Parts": _parts} | {NAMES[key]: lambda row, key=key: formatted(key, row[key]) for key in REPORTED}
    present = {name: line(row, columns) for name, row in known.items()}
    rows = [{"Member": name} | present.get(name, {"Parts": "not run yet"}) for name in VARIANTS]
    return plain(pd.DataFrame(rows).fillna(MISSING), text=True)


def _parts(member: Mapping) -> str:
    if member["variant"] == STANDARD:
        return MISSING
    if pd.notna(member["same_as"]):
        return f"= {member['same_as']}"
    return "never" if pd.isna(member["parting_epoch"]) else "{parting_epoch}, {parting_iteration}".format_map(member)


def membership_rows(memberships: Mapping[str, Membership]) -> Styler:
    """The spread of every reported number, and whether the author's value could be a further member."""
    rows = []
    for name, found in memberships.items():
        show = COLUMNS[name][1].format
        rows.append(
            {
                "Quantity": NAMES[name],
                "Paper": show(found.value),
                "Mean": show(found.mean),
                "s": significant(found.sd, 2),
                "Least, most": f"{show(found.low)}, {show(found.high)}",
                "Interval": f"{show(found.predicted[0])}, {show(found.predicted[1])}",
                "Inside?": "yes" if found.plausible else "no",
                "Rank": f"{found.rank:g}/{found.n + 1}",
                "p": f"{found.p_rank:.2f}",
            }
        )
    return plain(pd.DataFrame(rows), text=True)


def compared_files(one: RunFolder, other: RunFolder) -> dict[str, bool]:
    """Whether each file that both runs made is the same to the last bit, by the checksums in their records.

    Left out is ``history.csv``, which also holds the seconds of each epoch.
    """
    ours, theirs = (
        {name: digest for stage in STAGES for name, digest in (run.record(stage) or {}).get("outputs", {}).items()}
        for run in (one, other)
    )
    return {name: digest == theirs[name] for name, digest in ours.items() if name in theirs and name != "history.csv"}


def seed_rows(table: pd.DataFrame) -> Styler:
    """Mean and standard deviation over seeds of each configuration of a table of seeds."""
    rows = []
    for (n_patches, depth, n_parameters), group in table.groupby(["n_patches", "depth", "n_parameters"]):
        row = {"Patches, depth": f"{n_patches}, {depth}", "Parameters": f"{n_parameters:,}", "Seeds": str(len(group))}
        for column in ("train_loss", "test_loss", "test_accuracy", "lambda_max"):
            values = group[column].dropna()
            many = len(values) > 1
            row[NAMES[column]] = f"{formatted(column, values.mean())} ({values.std():.2g})" if many else MISSING
        rows.append(row)
    return plain(pd.DataFrame(rows), text=True)


def claim_rows(tests: pd.DataFrame) -> Styler:
    """The verdict over seeds on each claim, and the tests that it rests on."""
    methods = tests.groupby("claim")["method"].unique().map(", ".join).to_dict() if len(tests) else {}
    columns = {
        "Claim": "{text}",
        "Tests": lambda claim: methods.get(claim["name"], MISSING),
        "Verdict": lambda claim: CLAIMS[claim["name"]].verdict(tests) or "no data yet",
    }
    return worded(map(vars, CLAIMS.values()), columns)


def comparison_rows(tests: pd.DataFrame) -> Styler:
    """Every comparison: what is compared, the estimated effect with its interval, the p-value, the outcome.

    Effects of Welch's tests are shown as factors, second over first; of accuracies in percentage points.
    """
    columns = {
        "Claim": lambda row: SHORT_CLAIMS[row["claim"]],
        "Quantity": lambda row: NAMES.get(CLAIMS[row["claim"]].quantity, CLAIMS[row["claim"]].quantity),
        "From": lambda row: _short(row["first"]),
        "To": lambda row: _short(row["second"]),
        "Effect": _effect,
        "Pairs": "{agree:.0f} of {pairs:.0f}",
        "p": "{p_holm:.2g}",
        "Outcome": "{outcome}",
    }
    return worded(tests.to_dict("records"), columns)


def _short(label: str) -> str:
    """'4 patches, depth 50' as '4, 50'."""
    return label.replace(" patches, depth", ",")


def _effect(row: Mapping) -> str:
    values = [row["effect"], row["low"], row["high"]]
    if row["method"] == LOGS:
        return f"{TIMES} " + "{:.2f} ({:.2f}, {:.2f})".format(*np.exp(values))
    if row["method"] == ACCURACIES:
        return "{:+.2f} ({:+.2f}, {:+.2f})".format(*(100 * value for value in values))
    return f"{row['effect']:.3g}" if pd.isna(row["low"]) else "{:.2f} ({:.2f}, {:.2f})".format(*values)
