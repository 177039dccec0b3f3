"""Figures of training: loss curves beside the author's log, quantities against the number of parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from book.show import plots
from qpatch.config import size_label
from qpatch.runs.published import of_run, reference_table
from qpatch.runs.store import RunFolder

ABSENT = "not stored\nin this copy"


def beside_author(run: RunFolder) -> pd.DataFrame:
    """A run's history from epoch 0, with the author's ``author_test_loss`` and ``author_test_accuracy``.

    These are NaN where the author published no log (3 of the 12 configurations) and for a run that is not the paper's.
    """
    published = of_run("epochs", run.config) if run.config.is_paper_run else reference_table("epochs")[:0]
    log = published[["epoch", "test_loss", "test_accuracy"]].set_index("epoch").add_prefix("author_")
    return run.history().query("epoch >= 0").merge(log, "left", on="epoch")


def leaps(table: pd.DataFrame, factor: float = 3.0) -> pd.DataFrame:
    """The epochs, in order, after which the test loss is more than ``factor`` times what it was; ``rise`` is that."""
    rise = table["test_loss"] / table["test_loss"].shift()
    return table.assign(rise=rise)[rise > factor]


def draw_beside_author(ax: Axes, table: pd.DataFrame, best_epoch: int) -> Axes:
    """Training and test loss after each epoch of `beside_author`, the author's test loss as dots.

    Grey bands are the epochs whose learning rate is more than half its largest; the orange line is the best epoch.
    """
    fast = table["learning_rate"] > table["learning_rate"].max() / 2
    for epoch in table.loc[fast, "epoch"]:
        ax.axvspan(epoch - 0.5, epoch + 0.5, color="#EFEFEF", lw=0, zorder=0)
    plots.draw_curves(ax, table, best_epoch=best_epoch)
    if table["author_test_loss"].notna().any():
        style = {"mfc": "none", "ms": 3.6, "mew": 0.9, "color": plots.INK}
        ax.plot(table["epoch"], table["author_test_loss"], "o", label="test, author's log", **style)
    return ax


def grid_of_runs(
    runs: Sequence[RunFolder], draw: Callable[[Axes, RunFolder], object], size=(2.9, 2.6), share: bool = False
) -> Figure:
    """One panel a run, a row for each number of patches and a column for each depth among them.

    A place on the grid without a run says so, so that the figure fills up as runs arrive. ``size`` is that of a panel
    in inches, larger where there are one or two columns, taller in a single row. Panels that ``share`` their axes are
    labelled only at the first of a row and the last of a column.
    """
    found = {(run.config.n_patches, run.config.depth): run for run in runs}
    rows, columns = (sorted(set(values)) for values in zip(*found, strict=True))
    zoom = {1: 1.6, 2: 1.25}.get(len(columns), 1.0)
    tall = max(zoom, 1.3) if len(rows) == 1 else zoom
    shape = (size[0] * zoom * len(columns), size[1] * tall * len(rows))
    figure, axes = plt.subplots(len(rows), len(columns), figsize=shape, squeeze=False, sharex=share, sharey=share)
    for (row, column), ax in zip([(r, c) for r in rows for c in columns], axes.flat, strict=True):
        if (row, column) in found:
            draw(ax, found[row, column])
            if share:
                first = column == min(c for r, c in found if r == row)
                last = row == max(r for r, c in found if c == column)
                ax.tick_params(labelleft=first, labelbottom=last)
                ax.set(ylabel=ax.get_ylabel() if first else "", xlabel=ax.get_xlabel() if last else "")
        else:
            ax.text(0.5, 0.5, ABSENT, ha="center", va="center", color="#6B6B6B", transform=ax.transAxes)
            ax.axis("off")
        ax.set_title(size_label(row, column), color=plots.patch_color(row))
    return figure


def draw_by_size(ax: Axes, summary: pd.DataFrame, column: str, label: str = "", published: bool = False) -> Axes:
    """A column of a summary against the number of parameters, as `plots.draw_along` draws it."""
    plots.draw_along(ax, summary, "n_parameters", column, label, published)
    ax.set_xscale("log")
    ax.set_xticks([10_000, 20_000, 40_000, 80_000, 160_000], ["10k", "20k", "40k", "80k", "160k"])
    ax.minorticks_off()
    ax.set(xlabel="parameters")
    return ax
