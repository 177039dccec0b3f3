"""Tables of the paper beside ours, as styled HTML: reference and results in, table out; missing runs stay empty."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from string import Formatter

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from qpatch.config import RunConfig
from qpatch.runs.published import reference_table
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import paper_runs, summary

SHORT = 12  # characters
LONG = 24  # rows, of a table that scrolls by itself
MISSING = "—"
TIMES = "\N{MULTIPLICATION SIGN}"
COLUMNS = {  # of a summary: the heading, and how a value is printed
    "n_patches": ("Patches", "{}"),
    "seen_share": ("Pixels seen", "{:.0%}"),
    "depth": ("Depth", "{}"),
    "n_parameters": ("Parameters", "{:,.0f}"),
    "best_epoch": ("Epoch", "{:.0f}"),
    "train_loss": ("Training loss", "{:.4f}"),
    "train_accuracy": ("Training accuracy", "{:.4f}"),
    "test_loss": ("Test loss", "{:.4f}"),
    "test_accuracy": ("Test accuracy", "{:.4f}"),
    "lambda_max": ("λ max", "{:.2f}"),
    "pc1_ratio": ("PC 1", "{:.3f}"),
    "pc2_ratio": ("PC 2", "{:.3f}"),
    "pc_ratio": ("PC 1 + PC 2", "{:.3f}"),
    "pc1_span": ("Span PC 1", "{:.1f}"),
    "pc2_span": ("Span PC 2", "{:.1f}"),
    "landscape_max_loss": ("Highest loss", "{:.2f}"),
    "learning_rate": ("Learning rate", "{:.2g}"),
    "n_qubits": ("Qubits", "{}"),
    "stride": ("Stride", "{}"),
    "dataset": ("Data", "{}"),
    "n_train": ("Images", "{:,.0f}"),
}
HEADINGS = {name: heading for name, (heading, _) in COLUMNS.items()}
VERDICTS = {  # how one begins, the first that fits: its look (of qpatch.css), its mark, and what both mean
    "holds in all": ("holds", "✓", "holds in all comparisons tested"),
    "holds in": ("partly", "◐", "holds in some, the others undecided"),
    "holds": ("holds", "✓", ""),
    "undecided": ("undecided", "?", "undecided"),
    "does not hold": ("fails", "✗", "does not hold"),
    "": ("open", "…", "not tested yet"),
}
Columns = Mapping[str, str | Callable[[Mapping], str]]


def formatted(column: str, value) -> str:
    """A value of a summary's column as the tables print it; a dash where it is missing."""
    return MISSING if pd.isna(value) else COLUMNS[column][1].format(value)


def significant(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, trailing zeros among them, and never as a power of ten above one."""
    text = f"{value:#.{digits}g}" if value else "0"
    return f"{value:,.0f}" if "e+" in text else text.rstrip(".").replace(".e", "e")


# -- any table ----------------------------------------------------------------------------------------------------


def plain(table: pd.DataFrame, text: bool = False) -> Styler:
    """A table as it is; ``text`` sets words flush left instead of numbers flush right.

    Such a table gives its first column room to be read, unless all that stands there is short.
    """
    table = table.rename_axis(columns=[None] * table.columns.nlevels)
    css_class = "qpatch-table"
    if text:
        short = table.empty or table.iloc[:, 0].astype(str).str.len().max() <= SHORT
        css_class += " text narrow" if short else " text"
    if len(table) > LONG:
        css_class += " long"
    return _styled(table.style.format(na_rep=MISSING, thousands=",", precision=2), css_class)


def balance(claims: pd.DataFrame) -> Styler:
    """The table of claims (`qpatch.study.claims_table`), each verdict with a mark to be seen from afar."""
    return plain(claims, text=True).format(lambda verdict: f"{mark(verdict)} {html.escape(verdict)}", subset="Verdict")


def mark(verdict: str) -> str:
    """The mark of a verdict, a shape and a colour; for eyes alone, since the words say the same."""
    look, sign, _ = next(found for beginning, found in VERDICTS.items() if verdict.startswith(beginning))
    return f'<span class="qpatch-mark {look}" aria-hidden="true">{sign}</span>'


def marks() -> str:
    """What each mark means, in a line of HTML."""
    meant = {beginning: meaning for beginning, (_, _, meaning) in VERDICTS.items() if meaning}
    shown = [f"<span>{mark(beginning)} {meaning}</span>" for beginning, meaning in meant.items()]
    return f'<p class="qpatch-marks">{" ".join(shown)}</p>'


def _styled(styler: Styler, css_class: str = "qpatch-table") -> Styler:
    return styler.hide(axis="index").set_table_attributes(f'class="{css_class} dataframe"').set_uuid("t")


def worded(rows: Iterable[Mapping], columns: Columns) -> Styler:
    """Words and numbers for people, a line a row, with `line`."""
    return plain(pd.DataFrame([line(row, columns) for row in rows]), text=True)


def line(row: Mapping, columns: Columns) -> dict[str, str]:
    """A row in words, by heading; each is a format string of the row's values, or a function of the row.

    A dash stands where a value is missing.
    """
    return {heading: _filled(template, row) for heading, template in columns.items()}


def _filled(template: str | Callable[[Mapping], str], row: Mapping) -> str:
    if callable(template):
        return template(row)
    names = [name for _, name, _, _ in Formatter().parse(template) if name in row]
    return MISSING if any(pd.isna(row[name]) for name in names) else template.format_map(row)


def fields(config: RunConfig) -> Styler:
    """Every field of a configuration with its value, and what it is in the words of the class."""
    said = inspect.cleandoc(RunConfig.__doc__).partition("Attributes:")[2]
    found = re.findall(r"^    ([a-z_, ]+): (.*(?:\n        .*)*)", said, flags=re.MULTILINE)
    meaning = {name: re.sub(r"\s+", " ", text) for names, text in found for name in names.split(", ")}
    rows = [
        {"Field": name, "Value": str(value), "What it is": meaning[name]} for name, value in config.to_dict().items()
    ]
    return plain(pd.DataFrame(rows), text=True)


# -- runs beside the paper ----------------------------------------------------------------------------------------


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
    formats = {(heading, side): form for heading, form in _formats(columns).items() for side in ("paper", "ours")}
    return _styled(table.reset_index().style.format(formats, na_rep=MISSING))


def ours_alone(runs: Sequence[RunFolder], columns: Sequence[str]) -> Styler:
    """Columns of a summary of runs, with headings for people."""
    table = summary(runs).sort_values(["n_qubits", "n_patches", "depth"])[list(columns)]
    return _styled(table.rename(columns=HEADINGS).style.format(_formats(columns), na_rep=MISSING))


def _formats(columns: Sequence[str]) -> dict[str, str]:
    return dict(COLUMNS[column] for column in columns)


# -- single runs --------------------------------------------------------------------------------------------------


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
    records = {stage: run.record(stage) for stage in STAGES}
    columns = {
        "Stage": "{stage}",
        "Seconds": "{seconds:.1f}",
        "Machine": lambda record: ", ".join(f"{key} {value}" for key, value in record["machine"].items()) or MISSING,
    }
    return worded([{"stage": stage} | record for stage, record in records.items() if record], columns)


SPECTRUM = {
    "Images": "{images_used:,}",
    "λ max": "{lambda_max:.4g}",
    "PyHessian": "{power_iteration:.4g}",
    "λ min": lambda record: significant(record["lambda_min"]),
    "Outliers": "{outliers} of {parameters[k]}",
    "Trace": "{trace:.4g}\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{trace_error:.3g}",
    "Products": lambda record: str(sum(record["products"].values())),
}
STRUCTURE = {
    "Gauss-Newton": "{gauss_newton_share:.3f}",
    "Within blocks": "{within_blocks:.2f}",
    "Largest block": lambda record: f"{max(record['block_lambda_max'].values()) / record['lambda_max']:.2f}",
    "Bias block": lambda record: f"{record['block_lambda_max']['bias'] / record['lambda_max']:.2f}",
    "Bias in v": "{participation[bias]:.3f}",
    "QNNs that take part": lambda record: _taking_part(list(record["participation"].values())[:-1]),
    "Logit gradients": "{logit_overlap:.2f}",
    "(random)": "{logit_overlap_random:.4f}",
}


def _taking_part(shares: list[float]) -> str:
    return f"{participation_ratio(np.array(shares)):.1f} of {len(shares)}"


def spectra(runs: Sequence[RunFolder]) -> Styler:
    """Extreme eigenvalues, outliers and trace of the runs that have a spectrum, beside PyHessian on the same images."""
    return _by_run({run: line(run.record("spectrum"), SPECTRUM) for run in runs})


def curvature_structure(runs: Sequence[RunFolder]) -> Styler:
    """How the top eigenvalue is made up: Gauss-Newton share, within blocks, bias, overlap with logit gradients."""
    return _by_run({run: line(run.record("spectrum"), STRUCTURE) for run in runs})


def slices(runs: Sequence[RunFolder]) -> Styler:
    """What the stored planes of runs hold of path and curvature, and the highest barrier on a line to the minimum."""
    lines = {}
    for run in runs:
        record = run.record("slices")
        held = {
            (f"{name}, %", what): significant(100 * share)
            for name, plane in record["planes"].items()
            for what, share in (("of path", sum(plane["ratios"])), ("of most", plane["of_most"]))
            if name != "random, by QNN"
        }
        barrier = max(line["barrier"] for line in record["lines"].values())
        lines[run] = held | {("Barrier", ""): significant(barrier, 2)}
    return _by_run(lines)


def _by_run(lines: Mapping[RunFolder, dict[str, str]]) -> Styler:
    """A line a run, without the number of qubits where all share it, for room."""
    sizes = {HEADINGS[name]: name for name in ("n_qubits", "n_patches", "depth")}
    rows = [{head: str(getattr(run.config, name)) for head, name in sizes.items()} | lines[run] for run in lines]
    table = pd.DataFrame(rows)
    table = table.drop(columns="Qubits") if table["Qubits"].nunique() == 1 else table
    if any(isinstance(name, tuple) for name in table):
        table.columns = pd.MultiIndex.from_tuples(name if isinstance(name, tuple) else (name, "") for name in table)
    return plain(table, text=True)


def participation_ratio(shares: np.ndarray) -> float:
    """How many groups take part, ``1 / sum p^2``: 1 where one has all, g where all g have the same."""
    shares = np.asarray(shares, np.float64)
    return float(shares.sum() ** 2 / np.sum(shares**2))
