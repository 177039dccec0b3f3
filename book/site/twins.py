"""Static twins of the explorers, for print and for pages without JavaScript: results and axes in, figures out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from book.show import plots
from book.show.spectra import draw_spectrum
from qpatch.config import RunConfig
from qpatch.model.predictions import Predictions
from qpatch.model.qnn import cut_patches
from qpatch.runs.store import RunFolder


def draw_confusion(ax: Axes, confusion: np.ndarray) -> Axes:
    """A confusion matrix ``(classes, classes)`` with its counts; errors are the darker the more there are of them."""
    errors = confusion - np.diag(np.diag(confusion))
    top = 1.6 * max(1, errors.max())
    sns.heatmap(
        errors, annot=confusion, fmt="d", annot_kws={"fontsize": 6.5}, cmap="Blues", vmin=0, vmax=top, cbar=False, ax=ax
    )
    for text, ((row, column), count) in zip(ax.texts, np.ndenumerate(confusion), strict=True):
        text.set(color=plots.INK if count else "#BBBBBB", fontweight="bold" if row == column else "normal")
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="predicted", ylabel="label", aspect="equal")
    return ax


def draw_hardest(axes: Sequence[Axes], images, predictions: Predictions) -> None:
    """The images of highest loss, one an axis, the highest first; titles say label, prediction and loss."""
    chosen = predictions.hardest(len(axes))
    for ax in axes[len(chosen) :]:
        ax.axis("off")
    for ax, index in zip(axes, chosen, strict=False):
        plots.draw_image(ax, images[index]).spines[:].set_visible(False)
        answer = f"{predictions.labels[index]}, said {predictions.predicted[index]}"
        ax.set_title(f"{answer}\nloss {predictions.losses[index]:.1f}", fontsize=7.5, loc="center")


def draw_run(fig: Figure, run: RunFolder, predictions: Predictions, images) -> Figure:
    """One run from all sides: curves, landscape, spectrum, confusion matrix, hardest images; missing stages are named.

    Args:
        fig: an empty figure with a constrained layout, taller than wide.
        run: with its training done.
        predictions: its answers to the test images.
        images: these images, ``(n, image_size, image_size)``.
    """
    upper, lower = fig.subfigures(2, 1, height_ratios=(5, 1.2))
    axes = upper.subplots(2, 2)
    plots.draw_curves(axes[0, 0], run.history(), "loss", run.record("train")["best_epoch"])
    draw_confusion(axes[1, 1], predictions.confusion())
    for ax, stage in ((axes[0, 1], "landscape"), (axes[1, 0], "spectrum")):
        if run.record(stage) is None:
            ax.text(0.5, 0.5, f"no {stage} yet", ha="center", transform=ax.transAxes)
            ax.axis("off")
        elif stage == "landscape":
            plots.draw_landscape(ax, run.landscape())
        else:
            draw_spectrum(ax, run)
    draw_hardest(lower.subplots(1, 8), images, predictions)
    return fig


def draw_patch_sheet(fig: Figure, image, config: RunConfig) -> None:
    """One digit with its patches' outlines, the patches one by one, and how many of them see each pixel.

    Args:
        fig: an empty figure with a constrained layout.
        image: pooled, ``(image_size, image_size)``.
        config: gives the stride and the patch size.
    """
    left, middle, right = fig.subfigures(1, 3)
    plots.draw_patch_outlines(left.subplots(), image, config)
    axes = middle.subplots(config.patches_per_side, config.patches_per_side, squeeze=False)
    patches = cut_patches(image[None], config.patch_size, config.stride)[0]
    for number, (ax, patch) in enumerate(zip(axes.flat, patches, strict=True), start=1):
        plots.draw_image(ax, patch.reshape(config.patch_size, config.patch_size))
        ax.spines[:].set_color("#BBBBBB")
        ax.images[0].set_clim(0, float(image.max()))  # one grey scale for all patches
        ax.set_title(f"{number}", fontsize=7, loc="center", pad=2)
    plots.draw_coverage(right.subplots(), config.coverage, "patches that see a pixel")
