"""Figures of planes and lines: results and an axis in, the axis out; `book.site.interactive` has their twins.

Coordinates are in parameter units, so that pictures of different planes can be compared.
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource, LinearSegmentedColormap
from matplotlib.figure import Figure
from scipy.interpolate import RegularGridInterpolator

from book.show import plots
from book.show.tables import significant
from qpatch.landscape.lines import Profile
from qpatch.landscape.planes import Plane
from qpatch.runs.readings import Slice, stored_slices
from qpatch.runs.store import RunFolder

LOW_COLOR, HIGH_COLOR = "#FFFFFF", "#8C8C8C"  # of surfaces: as the contour maps are shaded
ELEVATION = 42  # degrees


def draw_plane(
    ax: Axes, plane: Plane | Slice, x, y, loss, levels=None, best: int | None = None, title: str = ""
) -> Axes:
    """Contours of a loss ``(len(y), len(x))`` on a plane, or on a stored one, its path if it has one, and its origin.

    Pictures that are to be compared need the same ``levels``; None are those of `plots.contour_levels`. The star is at
    the trajectory's row ``best``. The title is the plane's name and the share of the variance that it holds.
    """
    plots.draw_contours(ax, x, y, loss, levels)
    if len(plane.trajectory):
        plots.draw_path(ax, plane.trajectory, best)
    ax.plot(0, 0, "+", color=plots.INK, ms=11, mew=1.2, zorder=2.5)  # below a star
    held = f"\n{significant(100 * plane.ratios.sum())} % of the path" if len(plane.trajectory) else ""
    ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), title=title or plane.name + held)
    ax.set(xlabel="along axis 1", ylabel="along axis 2")
    return ax


def draw_slices(figure: Figure, run: RunFolder) -> Figure:
    """The planes of a run's slices stage, at the same contours and in the same units, two a row."""
    slices = stored_slices(run)
    levels = plots.contour_levels(np.stack([each.loss for each in slices]))
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for ax, each in zip(axes.flat, slices, strict=True):
        path, curvature = (significant(100 * share, 2) for share in (each.ratios.sum(), each.of_most))
        held = f"{path} % of the path,\n{curvature} % of the curvature"
        draw_plane(ax, each, each.x, each.y, each.loss, levels, each.best, title=f"{each.name}\n{held}")
        ax.set_aspect("equal")
        ax.label_outer()
    return figure


def draw_surface(ax: Axes, plane: Plane, x, y, loss, best: int | None = None, title: str = "") -> Axes:
    """The loss on a plane as a surface on an axis with ``projection="3d"``, with the trajectory on it."""
    loss = np.asarray(loss)
    columns, rows = np.meshgrid(x, y)
    colors = LinearSegmentedColormap.from_list("surface", [LOW_COLOR, HIGH_COLOR])
    light = LightSource(azdeg=315, altdeg=55)
    ax.computed_zorder = False  # Matplotlib would hide the path behind the surface that it lies on
    mesh = {"rcount": len(y), "ccount": len(x), "linewidth": 0.2, "edgecolor": "#777777"}
    ax.plot_surface(columns, rows, loss, cmap=colors, lightsource=light, **mesh)
    if len(plane.trajectory):
        path, heights = plane.trajectory, path_heights(plane, x, y, loss)
        ax.plot(*path.T, heights, color=plots.PATH_COLOR, lw=0.9, zorder=3)
        ax.scatter(*path.T, heights, c=plots.trajectory_colors(len(path)), s=12, depthshade=False, zorder=4)
        if best is not None:
            star = {"color": plots.BEST_COLOR, "edgecolor": plots.INK, "s": 70, "marker": "*", "depthshade": False}
            ax.scatter(*path[best], heights[best], zorder=5, **star)
    ax.set(xlabel="along axis 1", ylabel="along axis 2", zlabel="loss", title=title or plane.name)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        axis.set_pane_color((1, 1, 1, 0))
    ax.view_init(elev=ELEVATION, azim=viewpoint(loss))
    ax.set_box_aspect(None, zoom=0.86)  # room for the labels
    return ax


def viewpoint(loss) -> int:
    """Azimuth in degrees from which a surface ``(len(y), len(x))`` is seen: over its lowest corner, past no hill."""
    corners = {-45: loss[0][-1], 45: loss[-1][-1], 135: loss[-1][0], -135: loss[0][0]}
    return min(corners, key=corners.get)


def path_heights(plane: Plane, x, y, loss) -> np.ndarray:
    """Where a plane's trajectory runs on the drawn surface: interpolated, a little above it; NaN outside the grid."""
    inside = RegularGridInterpolator((y, x), loss, bounds_error=False)
    return inside(plane.trajectory[:, ::-1]) + 0.03 * np.ptp(loss)


def draw_profile(ax: Axes, profile: Profile, color: str = plots.INK, ls: str = "-", in_length: bool = True) -> Axes:
    """The loss along a line, the interpolation of its ends (dotted), and the barrier (an arrow) where it shows.

    The abscissa is the distance in parameter units, or, not ``in_length``, t, which puts all ends at 0 and 1.
    """
    unit = profile.length if in_length else 1.0
    between = (profile.t >= 0) & (profile.t <= 1)
    label = f"{profile.name}: barrier {profile.barrier:.2g}"
    ax.plot(profile.t * unit, profile.loss, color=color, ls=ls, label=label)
    ax.plot(profile.t[between] * unit, profile.interpolation[between], color=color, ls=":", lw=1)
    ends = np.isin(profile.t, (0, 1))
    ax.plot(profile.t[ends] * unit, profile.loss[ends], "o", color=color, ms=5)
    if profile.barrier > 0.03 * np.ptp(profile.loss):  # a shorter arrow is a blot
        top = np.flatnonzero(profile.t == profile.peak)[0]
        foot, tip = ((profile.peak * unit, values[top]) for values in (profile.interpolation, profile.loss))
        ax.annotate("", tip, foot, arrowprops={"arrowstyle": "->", "color": color, "lw": 1, "shrinkA": 0, "shrinkB": 0})
    ax.set(xlabel="distance along the line" if in_length else "t", ylabel="loss")
    ax.legend()
    return ax


def random_walk_ratios(steps: int, size: int) -> np.ndarray:
    """Variance ratios ``(steps,)`` of the principal components of a walk of independent normal steps, descending."""
    walk = np.cumsum(np.random.default_rng(0).normal(size=(steps, size)), axis=0)
    walk = np.concatenate([np.zeros((1, size)), walk])
    squares = np.linalg.svd(walk - walk.mean(axis=0), compute_uv=False)[:steps] ** 2
    return squares / squares.sum()
