"""HTML of the book's explorers, and of the table of all runs.

An explorer is a box with its data as JSON, which `explorer.js` and its kin bring to life; until then, without
JavaScript and on paper it is hidden, and a cell with the tag ``static-twin`` stands in its place.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence

from book.show import plots, tables
from book.site import explorers
from book.site.reports import report_title
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import summary

TABLE_COLUMNS = ("n_qubits", "n_train", "n_patches", "depth")  # with the results, what the column of a page holds
TABLE_COLUMNS += ("best_epoch", "train_loss", "test_loss", "test_accuracy", "lambda_max", "pc_ratio")


def patch_explorer(data: dict) -> str:
    """The patch explorer for `explorers.patch_data`."""
    return _explorer("patches", "Patch explorer", data)


def run_explorer(data: dict) -> str:
    """The run explorer for `explorers.explorer_data`."""
    return _explorer("runs", "Run explorer", data)


def laboratory(state: dict | None = None) -> str:
    """The page on which a model trains (`book/_static/lab`), or the small form of it that shows one state only."""
    form = {"form": "whole"} if state is None else {"form": "small", "state": state}
    colors = explorers.COLORS | {"other": plots.OTHER_COLOR, "patches": plots.PATCH_COLORS}
    return _explorer("lab", "Laboratory", form | {"colors": colors})


def _explorer(kind: str, label: str, data: dict) -> str:
    # Within a script element only "<" could end it or open a comment.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<section class="qpatch-explorer" data-explorer="{kind}" aria-label="{html.escape(label)}" hidden>'
        f'<script type="application/json">{text}</script></section>'
    )


def runs_table(runs: Sequence[RunFolder], folder: str) -> str:
    """Every run with its configuration and results, each linked to its report; headers sort where there is JavaScript.

    Args:
        runs: in the order of the table.
        folder: leads from the page to the reports.
    """
    headings = "".join(f'<th scope="col">{html.escape(tables.HEADINGS[name])}</th>' for name in TABLE_COLUMNS)
    table = summary(runs).assign(n_train=[run.config.n_train for run in runs]) if runs else None
    rows = [_table_row(run, table.iloc[number], folder) for number, run in enumerate(runs)]
    return (
        '<div class="qpatch-runs-frame"><table class="qpatch-table qpatch-runs">'
        f'<thead><tr><th scope="col">Run</th>{headings}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _table_row(run: RunFolder, row, folder: str) -> str:
    link = f'<a href="{html.escape(folder + run.run_id)}.html">{html.escape(report_title(run))}</a>'
    cells = "".join(
        f'<td data-value="{row[name]}">{html.escape(tables.formatted(name, row[name]))}</td>' for name in TABLE_COLUMNS
    )
    return f'<tr id="{html.escape(run.run_id)}"><th scope="row">{link}</th>{cells}</tr>'
