"""Figures of a Hessian's spectrum: results and an axis in, the axis out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import SymmetricalLogLocator

from book.show.epochs import grid_of_runs
from book.show.plots import BEST_COLOR, INK, patch_color, share_legend
from qpatch.curvature.density import SpectralDensity, histogram
from qpatch.runs.readings import stored_density
from qpatch.runs.store import RunFolder


def draw_spectrum(ax: Axes, run: RunFolder, linear: float | None = None) -> Axes:
    """A run's spectral density with its extreme eigenvalues: outliers filled, others hollow; `linear` as in bins."""
    draw_density(ax, stored_density(run), patch_color(run.config.n_patches), linear)
    ends = run.eigenvalues().groupby("end")["eigenvalue"]
    largest, smallest = (ends.get_group(end).to_numpy() for end in ("largest", "smallest"))
    count = run.record("spectrum")["outliers"]
    others = np.r_[largest[count:], smallest]
    marks = (("outliers", largest[:count], BEST_COLOR), ("other extreme eigenvalues", others, "none"))
    for label, values, fill in marks:
        if len(values):
            heights = np.full(len(values), 0.6)
            ax.scatter(values, heights, s=26, fc=fill, ec=INK, lw=0.8, zorder=4, label=label)
    ax.legend(loc="upper right")
    return ax


def draw_along(ax: Axes, run: RunFolder) -> Axes:
    """The largest eigenvalue along a run's path and, dashed, the Gauss-Newton part of it."""
    along = pd.DataFrame(run.record("slices")["along"])
    color = patch_color(run.config.n_patches)
    ax.plot(along["epoch"], along["lambda_max"], "o-", color=color, ms=4, label="largest eigenvalue")
    part = along["lambda_max"] * along["gauss_newton_share"]
    ax.plot(along["epoch"], part, "o--", color=INK, ms=4, lw=1, label="Gauss-Newton part")
    ax.set(xlabel="epoch", ylabel="curvature", yscale="log")
    return ax


def draw_spectra(runs: Sequence[RunFolder]) -> Figure:
    """The spectra of several runs on the same axes; the coarsest density decides about the bins of all."""
    linear = max((stored_density(run).resolution for run in runs), default=0.0) or None
    figure = grid_of_runs(runs, partial(draw_spectrum, linear=linear), size=(2.9, 2.4), share=True)
    share_legend(figure)
    return figure


def draw_density(ax: Axes, density: SpectralDensity, color: str, linear: float | None = None) -> Axes:
    """Numbers of eigenvalues in bins that are equal on a symlog axis, none narrower than the density resolves.

    The axis turns from linear to logarithmic at ``linear``, or at the density's resolution.
    """
    linear = linear or density.resolution or 1.0
    edges = symlog_edges(density, linear)
    bins = histogram(density, edges)
    ax.stairs(np.maximum(bins.counts, 0.1), edges, baseline=0.1, fill=True, alpha=0.35, color=color)
    ax.stairs(np.maximum(bins.counts, 0.1), edges, baseline=0.1, color=color, lw=1)
    ax.set_xscale("symlog", linthresh=linear)
    ax.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=10 ** np.ceil(np.log10(linear))))
    ax.set_yscale("log")
    top = max(ax.get_ylim()[1], 3 * bins.counts.max())  # of all panels, where they share an axis
    ax.set(xlabel="eigenvalue", ylabel="eigenvalues per bin", ylim=(0.3, top))
    return ax


def symlog_edges(density: SpectralDensity, linear: float | None = None, per_decade: int = 3) -> np.ndarray:
    """Bin edges over all nodes for a symlog axis: one bin from -linear to linear, then equal ones on the log axis.

    Without ``linear`` it is the density's resolution, so that no bin is narrower than that (at three a decade).
    ValueError for a linear part or a number a decade that is not positive.
    """
    low = min(probe.values[0] for probe in density.probes)
    high = max(probe.values[-1] for probe in density.probes)
    if linear is None:
        linear = density.resolution or max(abs(high), 1.0)  # the latter where all eigenvalues are one
    if not linear > 0 or per_decade < 1:
        raise ValueError(f"a linear part of {linear} and {per_decade} bins a decade; both must be positive")

    def side(reach: float) -> np.ndarray:
        n_bins = int(np.floor(per_decade * np.log10(max(reach, linear) / linear))) + 1
        return linear * 10.0 ** (np.arange(n_bins + 1) / per_decade)

    return np.concatenate([-side(-low)[::-1], side(high)])
