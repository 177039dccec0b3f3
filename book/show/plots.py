"""Figures: results and an axis in, the axis out; nothing is computed here beyond a change of units for display.

One colour stands for one number of patches everywhere, from the colour-blind-safe palette of Okabe and Ito; a marker
of its own says the same to those who print in grey. Figures have a white ground, on light and dark pages alike.
"""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullFormatter

from qpatch.landscape.grid import CONTOUR_STEP

PATCH_COLORS = {4: "#0072B2", 9: "#D55E00", 16: "#009E73", 25: "#AA4499", 49: "#8A6D00"}
PATCH_MARKERS = {4: "o", 9: "s", 16: "^", 25: "D", 49: "v"}
OTHER_COLOR, OTHER_MARKER = "#555555", "X"  # a number of patches without a colour of its own
GRID_COLOR, INK = "#DDDDDD", "#222222"
START_COLOR, BEST_COLOR, END_COLOR = "#D62728", "#FF9900", "#00246B"  # red, orange, dark blue, as in the paper
PATH_COLOR = "#9467BD"  # between the two
TRAIN_COLOR, TEST_COLOR = INK, "#B0558A"  # of no number of patches

STYLE = {
    **dict.fromkeys(("figure.facecolor", "axes.facecolor"), "white"),
    **dict.fromkeys(("axes.labelcolor", "text.color", "xtick.color", "ytick.color"), INK),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "figure.constrained_layout.use": True,
    "figure.figsize": (7.2, 3.6),
    "axes.edgecolor": "#888888",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID_COLOR,
    "grid.linewidth": 0.6,
    "font.size": 10.5,
    "legend.frameon": True,  # text that a curve crosses stays legible
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "lines.linewidth": 1.8,
    "svg.hashsalt": "qpatch",  # the same figure gives the same file
}


def set_style() -> None:
    """Make the book's style the default of every figure that follows; in a notebook, draw as SVG."""
    from IPython import get_ipython
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    plt.rcParams.update(STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("svg", facecolor="white")


def patch_color(n_patches: int) -> str:
    """The colour that stands for a number of patches."""
    return PATCH_COLORS.get(int(n_patches), OTHER_COLOR)


def patch_marker(n_patches: int) -> str:
    """The marker that stands for a number of patches."""
    return PATCH_MARKERS.get(int(n_patches), OTHER_MARKER)


# -- digits and patches ---------------------------------------------------------------------------------------


def draw_image(ax: Axes, image, title: str = "") -> Axes:
    """A digit ``(height, width)`` in grey, ink dark on white."""
    ax.imshow(np.asarray(image), cmap="gray_r", interpolation="nearest")
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    return ax


def draw_patch_outlines(ax: Axes, image, config) -> Axes:
    """A pooled digit with the outlines of a configuration's patches, the first of them filled."""
    draw_image(ax, image, f"stride {config.stride}: {config.n_patches} patches")
    color, size = patch_color(config.n_patches), config.patch_size
    corners = config.stride * np.arange(config.patches_per_side) - 0.5
    for corner in itertools.product(corners, corners):
        ax.add_patch(Rectangle(corner, size, size, fill=False, ec=color, lw=1.4))
    ax.add_patch(Rectangle((-0.5, -0.5), size, size, fc=color, alpha=0.25))
    return ax


def draw_coverage(ax: Axes, coverage, title: str = "") -> Axes:
    """How many patches cover each pixel, ``(height, width)``, with the counts written in."""
    coverage = np.asarray(coverage)
    ax.imshow(coverage, cmap="Blues", vmin=0, vmax=coverage.max() * 1.4)
    for (row, column), count in np.ndenumerate(coverage):
        ax.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=6.5)
    ax.set(xticks=[], yticks=[], title=title)
    ax.grid(False)
    return ax


# -- training -------------------------------------------------------------------------------------------------


def use_epoch_ticks(ax: Axes, last: int) -> Axes:
    """Whole epochs; every ten in a long run, the period of the learning rate."""
    ax.xaxis.set_major_locator(MultipleLocator(10) if last > 20 else MaxNLocator(integer=True))
    return ax


def draw_curves(ax: Axes, history, quantity: str = "loss", best_epoch: int | None = None) -> Axes:
    """Training (solid) and test (dashed) loss or accuracy of a history, the best epoch marked."""
    ax.plot(history["epoch"], history[f"train_{quantity}"], color=TRAIN_COLOR, label="training")
    ax.plot(history["epoch"], history[f"test_{quantity}"], color=TEST_COLOR, ls="--", label="test")
    if best_epoch is not None:
        ax.axvline(best_epoch, color=BEST_COLOR, lw=1.6, zorder=1, label="best epoch")
    if quantity == "loss":
        use_log_scale(ax)
    ax.set(xlabel="epoch", ylabel=quantity)
    ax.legend()
    return use_epoch_ticks(ax, history["epoch"].max())


def draw_learning_rate(ax: Axes, history) -> Axes:
    """The learning rate of each epoch, as steps."""
    trained = history[history["epoch"] >= 0]
    ax.step(trained["epoch"], trained["learning_rate"], where="mid", color="#555555")
    ax.set(xlabel="epoch", ylabel="learning rate", ylim=(-0.03 * trained["learning_rate"].max(), None))  # 0 is seen
    return use_epoch_ticks(ax, history["epoch"].max())


def draw_along(ax: Axes, summary, along: str, column: str, label: str = "", published: bool = False) -> Axes:
    """A column of a summary along another, one line a number of patches; published values are dashed and hollow."""
    style = {"ls": "--", "mfc": "white", "alpha": 0.9} if published else {"ls": "-"}
    for n_patches, group in summary.dropna(subset=[column]).groupby("n_patches"):
        group = group.sort_values(along)
        color, marker = patch_color(n_patches), patch_marker(n_patches)
        name = f"{n_patches} patches" + (" (paper)" if published else "")
        ax.plot(group[along], group[column], color=color, marker=marker, label=name, **style)
    ax.set_ylabel(label or column.replace("_", " "))
    return ax


def draw_by_depth(ax: Axes, summary, column: str, label: str = "", published: bool = False) -> Axes:
    """A column of a summary against depth, as `draw_along` draws it."""
    draw_along(ax, summary, "depth", column, label, published)
    depths = sorted({depth for line in ax.lines for depth in line.get_xdata()})  # of earlier calls on this axis too
    ax.set(xlabel="depth", xticks=depths)
    return ax


def use_log_scale(ax: Axes) -> Axes:
    """Logarithmic losses or eigenvalues, with plain numbers at 1, 2 and 5 of each decade."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    return ax


def share_legend(fig: Figure) -> None:
    """One legend below all axes of a figure, each label once, in place of their own; beside the paper's are ours."""
    entries = {label: handle for ax in fig.axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    entries = {f"{label} (ours)" if f"{label} (paper)" in entries else label: found for label, found in entries.items()}
    for own in filter(None, [ax.get_legend() for ax in fig.axes]):
        own.remove()
    if entries:
        fig.legend(entries.values(), entries, loc="outside lower center", ncols=3, fontsize=9)


def draw_epochs(ax: Axes, table, column: str, label: str = "") -> Axes:
    """A quantity after each epoch, one line a configuration; shades of a colour are depths, lighter is shallower."""
    depths, deepest = sorted(table["depth"].unique()), table.groupby("n_patches")["depth"].max()
    for (n_patches, depth), group in table.groupby(["n_patches", "depth"]):
        alpha = 0.4 + 0.6 * (depths.index(depth) + 1) / len(depths)
        ax.plot(
            group["epoch"], group[column], color=patch_color(n_patches), alpha=alpha, lw=1.2,
            label=f"{n_patches} patches" if depth == deepest[n_patches] else None,
        )  # fmt: skip
    ax.set(xlabel="epoch", ylabel=label or column.replace("_", " "))
    ax.legend(title="darker: deeper" if len(depths) > 1 else None, title_fontsize=9)
    return use_epoch_ticks(ax, table["epoch"].max())


# -- landscapes -----------------------------------------------------------------------------------------------


def trajectory_norms(landscape) -> np.ndarray:
    """The figures' units: the Euclidean norm of the trajectory's coordinates along each axis, ``(2,)``."""
    norms = np.linalg.norm(landscape.trajectory, axis=0)
    return np.where(norms > 0, norms, 1.0)


def contour_levels(loss) -> np.ndarray:
    """Levels at multiples of 0.5 that span a grid's losses, two or more; finer if fewer than five, wider above 24."""
    low, high = float(np.min(loss)), float(np.max(loss))
    step = CONTOUR_STEP
    while (high - low) / step > 24:
        step *= 2
    while (high - low) / step < 5 and high > low:
        step /= 5 if round(step, 6) in (0.5, 0.05, 0.005) else 2
    first = np.floor(low / step)
    return np.arange(first, max(np.ceil(high / step), first + 1) + 1) * step


def trajectory_colors(n_points: int) -> np.ndarray:
    """Colours from the start, red, to the end, dark blue: ``(n_points, 4)``."""
    scale = LinearSegmentedColormap.from_list("trajectory", [START_COLOR, PATH_COLOR, END_COLOR])
    return scale(np.linspace(0, 1, n_points))


def draw_landscape(ax: Axes, landscape, title: str = "") -> Axes:
    """Contours of the loss on the plane and the trajectory on it, in the units of the paper's figure 3."""
    unit_x, unit_y = trajectory_norms(landscape)
    draw_contours(ax, landscape.x / unit_x, landscape.y / unit_y, landscape.loss)
    draw_path(ax, landscape.trajectory / (unit_x, unit_y), landscape.best)
    ratios = [f"{100 * ratio:.1f}" for ratio in landscape.ratios]
    ax.set(xlabel=f"PC 1 ({ratios[0]} %)", ylabel=f"PC 2 ({ratios[1]} %)", title=title)
    return ax


def draw_contours(ax: Axes, x, y, loss, levels=None) -> Axes:
    """Contours of a grid ``(len(y), len(x))``, grey and labelled, at `contour_levels` or at given ones."""
    levels = contour_levels(loss) if levels is None else levels
    ax.contourf(x, y, loss, levels, cmap="Greys", alpha=0.35)
    lines = ax.contour(x, y, loss, levels, colors="#777777", linewidths=0.6)
    ax.clabel(lines, levels[::2], fontsize=7, fmt="%g")
    ax.grid(False)
    return ax


def draw_path(ax: Axes, path, best: int | None = None) -> Axes:
    """A projected trajectory ``(points, 2)`` from red to dark blue, with a star at its best row."""
    ax.plot(*path.T, color=PATH_COLOR, lw=0.8, alpha=0.7)
    ax.scatter(*path.T, c=trajectory_colors(len(path)), s=12, zorder=3)
    if best is not None:
        ax.scatter(*path[best], color=BEST_COLOR, edgecolor=INK, lw=0.6, s=120, marker="*", zorder=4)
    return ax
