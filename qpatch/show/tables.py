"""Tables of the paper beside ours, as styled HTML: reference and results in, table out; missing runs stay empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from qpatch.curvature.structure import participation_ratio
from qpatch.runs.published import reference_table
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import paper_runs, summary

SHORT = 12  # characters
MISSING = "—"
TIMES = "\N{MULTIPLICATION SIGN}"
HEADINGS = {
    "n_patches": "Patches",
    "depth": "Depth",
    "n_parameters": "Parameters",
    "best_epoch": "Epoch",
    "train_loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "test_loss": "Test loss",
    "test_accuracy": "Test accuracy",
    "lambda_max": "λ max",
    "pc1_ratio": "PC 1",
    "pc2_ratio": "PC 2",
    "pc_ratio": "PC 1 + PC 2",
    "pc1_span": "Span PC 1",
    "pc2_span": "Span PC 2",
    "landscape_max_loss": "Highest loss",
    "learning_rate": "Learning rate",
    "n_qubits": "Qubits",
    "stride": "Stride",
    "dataset": "Data",
    "n_train": "Images",
}
FORMATS = {
    "n_parameters": "{:,.0f}",
    "n_train": "{:,.0f}",
    "best_epoch": "{:.0f}",
    "train_loss": "{:.4f}",
    "test_loss": "{:.4f}",
    "train_accuracy": "{:.4f}",
    "test_accuracy": "{:.4f}",
    "lambda_max": "{:.2f}",
    "pc1_ratio": "{:.3f}",
    "pc2_ratio": "{:.3f}",
    "pc_ratio": "{:.3f}",
    "pc1_span": "{:.1f}",
    "pc2_span": "{:.1f}",
    "landscape_max_loss": "{:.2f}",
    "learning_rate": "{:.2g}",
}


def beside_paper(runs: Sequence[RunFolder], columns: Sequence[str]) -> Styler:
    """The paper's twelve configurations, each column as published and as in ours where the run is there."""
    keys = ["n_patches", "depth"]
    published = reference_table("runs").set_index(keys)[list(columns)]
    full = paper_runs(runs)
    ours = summary(full).set_index(keys) if full else pd.DataFrame()
    table = pd.DataFrame(index=published.index)
    for column in columns:
        table[HEADINGS[column], "paper"] = published[column]
        table[HEADINGS[column], "ours"] = ours[column].reindex(published.index) if column in ours else float("nan")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    table.index.names = [HEADINGS[key] for key in keys]
    formats = {(HEADINGS[column], side): FORMATS[column] for column in columns for side in ("paper", "ours")}
    return _styled(table.reset_index().style.format(formats, na_rep=MISSING))


def ours_alone(runs: Sequence[RunFolder], columns: Sequence[str]) -> Styler:
    """Columns of a summary of runs, with headings for people."""
    table = summary(runs).sort_values(["n_qubits", "n_patches", "depth"])[list(columns)]
    formats = {HEADINGS[column]: FORMATS[column] for column in columns if column in FORMATS}
    return _styled(table.rename(columns=HEADINGS).style.format(formats, na_rep=MISSING))


def plain(table: pd.DataFrame, text: bool = False) -> Styler:
    """A table as it is; ``text`` sets words flush left instead of numbers flush right.

    Such a table gives its first column room to be read, unless all that stands there is short.
    """
    table = table.rename_axis(columns=None)
    css_class = "qpatch-table"
    if text:
        short = table.empty or table.iloc[:, 0].astype(str).str.len().max() <= SHORT
        css_class += " text narrow" if short else " text"
    return _styled(table.style.format(na_rep=MISSING, thousands=",", precision=2), css_class)


def _styled(styler: Styler, css_class: str = "qpatch-table") -> Styler:
    return styler.hide(axis="index").set_table_attributes(f'class="{css_class} dataframe"').set_uuid("t")


def run_numbers(run: RunFolder) -> Styler:
    """What one run says of itself, beside the author's values if it is one of the paper's twelve."""
    columns = ["n_parameters", "best_epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    columns += ["lambda_max", "pc1_ratio", "pc2_ratio"]
    sides = {"This run": summary([run]).iloc[0]}
    if run.config.is_paper_run:
        reference = reference_table("runs").set_index(["stride", "depth"])
        sides["Paper"] = reference.loc[(run.config.stride, run.config.depth)]
    rows = [
        {"Quantity": HEADINGS[column]} | {side: formatted(column, values[column]) for side, values in sides.items()}
        for column in columns
    ]
    return plain(pd.DataFrame(rows))


def stage_costs(run: RunFolder) -> Styler:
    """Wall time and machine of each finished stage of a run."""
    rows = []
    for stage in STAGES:
        record = run.record(stage)
        if record is not None:
            machine = record["machine"]
            described = ", ".join(f"{key} {value}" for key, value in machine.items()) or MISSING
            rows.append({"Stage": stage, "Seconds": f"{record['seconds']:.1f}", "Machine": described})
    return plain(pd.DataFrame(rows), text=True)


def formatted(column: str, value) -> str:
    """A value of a summary's column as the tables print it; a dash where it is missing."""
    return MISSING if pd.isna(value) else FORMATS.get(column, "{}").format(value)


def spectra(runs: Sequence[RunFolder]) -> Styler:
    """Extreme eigenvalues, outliers and trace of the runs that have a spectrum, beside PyHessian on the same images."""
    rows = []
    for run in runs:
        record = run.record("spectrum")
        rows.append(
            _run_columns(run)
            | {
                "Images": f"{record['images_used']:,}",
                "λ max": f"{record['lambda_max']:.4g}",
                "PyHessian": f"{record['power_iteration']:.4g}",
                "λ min": f"{record['lambda_min']:.3g}",
                "Outliers": f"{record['outliers']} of {record['parameters']['k']}",
                "Trace": f"{record['trace']:.4g}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{record['trace_error']:.3g}",
                "Products": str(sum(record["products"].values())),
            }
        )
    return _by_run(rows)


def curvature_structure(runs: Sequence[RunFolder]) -> Styler:
    """How the top eigenvalue is made up: Gauss-Newton share, within blocks, bias, overlap with logit gradients."""
    rows = []
    for run in runs:
        record = run.record("spectrum")
        shares = np.array(list(record["participation"].values()))
        rows.append(
            _run_columns(run)
            | {
                "Gauss-Newton": f"{record['gauss_newton_share']:.3f}",
                "Within blocks": f"{record['within_blocks']:.2f}",
                "Largest block": f"{max(record['block_lambda_max'].values()) / record['lambda_max']:.2f}",
                "Bias block": f"{record['block_lambda_max']['bias'] / record['lambda_max']:.2f}",
                "Bias in v": f"{record['participation']['bias']:.3f}",
                "QNNs that take part": f"{participation_ratio(shares[:-1]):.1f} of {run.config.n_patches}",
                "Logit gradients": f"{record['logit_overlap']:.2f}",
                "(random)": f"{record['logit_overlap_random']:.4f}",
            }
        )
    return _by_run(rows)


def slices(runs: Sequence[RunFolder]) -> Styler:
    """What the stored planes of runs hold of path and curvature, and the highest barrier on a line to the minimum."""
    rows = []
    for run in runs:
        record = run.record("slices")
        held = {
            f"{name}, {what} (%)": f"{100 * share:.3g}"
            for name, plane in record["planes"].items()
            for what, share in (("of the path", sum(plane["ratios"])), ("of the most", plane["of_most"]))
            if name != "random, by QNN"
        }
        barrier = max(line["barrier"] for line in record["lines"].values())
        rows.append(_run_columns(run) | held | {"Barrier": f"{barrier:.2g}"})
    return _by_run(rows)


def _run_columns(run: RunFolder) -> dict[str, str]:
    config = run.config
    return {"Qubits": str(config.n_qubits), "Patches": str(config.n_patches), "Depth": str(config.depth)}


def _by_run(rows: list[dict[str, str]]) -> Styler:
    """A table of runs, without the number of qubits where all share it, for room."""
    table = pd.DataFrame(rows)
    return plain(table.drop(columns="Qubits") if table["Qubits"].nunique() == 1 else table, text=True)
