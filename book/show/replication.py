"""Figures of the replication: distance from the author's log, replicas drifting apart, seeds of a configuration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from book.show.plots import BEST_COLOR, INK, patch_color, patch_marker, use_log_scale
from qpatch.config import size_label

DEPTH_STYLES = {50: "-", 100: "--", 150: "-.", 200: ":"}
FLOOR = 1e-7  # a difference of nothing is drawn here: float32 resolves no less of a loss around one
STRIP = 0.12  # half the width over which seeds are spread


def draw_distance(ax: Axes, table: pd.DataFrame, partings: pd.DataFrame, bar: float, unit: float) -> Axes:
    """Absolute difference of the test loss after each epoch, one line a run, a ring where it parts from the author's.

    ``table`` holds the rows of an agreement table for one quantity, ``partings`` is of `agreement.run_partings`.
    """
    parted = partings.set_index("run_id")["parting"]
    for (run_id, n_patches, depth), group in table.groupby(["run_id", "n_patches", "depth"], sort=False):
        height = group["difference"].clip(lower=FLOOR)
        label = size_label(n_patches, depth)
        ax.plot(group["at"], height, color=patch_color(n_patches), ls=DEPTH_STYLES.get(depth, "-"), label=label)
        if pd.notna(parted[run_id]):
            at = height[group["at"] == parted[run_id]].iloc[0]
            ring = {"marker": patch_marker(n_patches), "mfc": "white", "mec": INK, "ms": 8, "mew": 1.4}
            ax.plot(parted[run_id], at, color=patch_color(n_patches), zorder=4, **ring)
    _mark_height(ax, bar, "bar")
    _mark_height(ax, unit, "last printed digit")
    ax.set_yscale("log")
    ax.set(xlabel="epoch", ylabel="difference of the test loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


def _mark_height(ax: Axes, height: float, text: str) -> None:
    ax.axhline(height, color="#888888", lw=1)
    ax.annotate(
        text, (1, height), xycoords=("axes fraction", "data"), xytext=(-2, 3), textcoords="offset points",
        ha="right", va="bottom", fontsize=8.5, color="#444444",
    )  # fmt: skip


def draw_drift(fig: Figure, members: dict, partings: dict, bar: float, n_batches: int) -> Figure:
    """A panel a replica: how far its mini-batch losses are from the standard member's, iteration by iteration.

    ``members`` are mini-batch losses ``(iterations,)`` by variant, the standard member's first; ``partings`` the
    iteration, counted from the start, at which a variant's distance exceeds the bar; None where it does not.
    """
    (_, standard), *others = members.items()
    columns = min(3, max(1, len(others)))
    rows = -(-len(others) // columns) or 1
    axes = fig.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(others) :]:
        ax.set_visible(False)
    for ax, (name, losses) in zip(axes.flat, others, strict=False):
        distance = np.abs(np.asarray(losses) - np.asarray(standard)).clip(min=FLOOR)
        ax.plot(np.arange(len(distance)) / n_batches, distance, color=patch_color(4), lw=0.6)
        ax.axhline(bar, color="#888888", lw=1)
        if partings[name] is not None:
            ax.axvline(partings[name] / n_batches, color=BEST_COLOR, lw=1.4)
        ax.set_yscale("log")
        ax.set_title(name)
    for ax in axes[:, 0]:
        ax.set_ylabel("difference")
    for ax in axes.flat[max(0, len(others) - columns) : len(others)]:  # the lowest of each column
        ax.set_xlabel("epoch")
        ax.tick_params(labelbottom=True)
    return fig


def draw_members(ax: Axes, values: np.ndarray, published: float, interval: tuple[float, float], label: str) -> Axes:
    """The members' values of one quantity in a row, the author's as a star, the prediction interval as a bar."""
    ax.plot(interval, [0, 0], color="#BBBBBB", lw=7, solid_capstyle="butt", zorder=1)
    ax.plot(values, np.zeros(len(values)), "o", color=patch_color(4), alpha=0.7, zorder=2)
    ax.plot(published, 0, "*", color=BEST_COLOR, mec=INK, ms=13, zorder=3)
    ax.set(yticks=[], ylim=(-1, 1), xlabel=label)
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    return ax


def draw_seeds(ax: Axes, table: pd.DataFrame, column: str, label: str) -> Axes:
    """A quantity of every seed, a column of points a configuration, in the order of their numbers of parameters."""
    sizes = list(table.groupby(["n_parameters", "n_patches", "depth"]))
    for place, ((_, n_patches, _), group) in enumerate(sizes):
        values = group[column].dropna().to_numpy()
        spread = place + np.linspace(-STRIP, STRIP, len(values)) if len(values) > 1 else [place] * len(values)
        style = {"color": patch_color(n_patches), "marker": patch_marker(n_patches), "ls": ""}
        ax.plot(spread, values, alpha=0.8, label=f"{n_patches} patches", **style)
        if len(values):
            middle = np.exp(np.log(values).mean())
            ax.plot([place - 0.3, place + 0.3], [middle, middle], color=INK, lw=1.2)
    names = [f"{depth}\n{parameters / 1000:.0f}k" for (parameters, _, depth), _ in sizes]
    ax.set_xticks(range(len(sizes)), names, fontsize=8.5)
    ax.set(xlabel="depth, parameters", ylabel=label)
    use_log_scale(ax)
    return ax
