"""What the book's explorers show, as plain data for JSON: patches of digits, and everything about a stored run.

The pages' scripts only draw: every number and every colour comes from here, and so from the package and the results.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np
import torch

from book.show import plots, tables
from book.show.landscapes import path_heights, viewpoint
from book.show.spectra import symlog_edges
from book.site.reports import report_title
from qpatch.config import RunConfig, valid_strides
from qpatch.curvature.density import histogram
from qpatch.data import Split, load_split
from qpatch.model.predictions import Predictions, predict
from qpatch.runs.readings import stored_density
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import summary
from qpatch.study.claims import comparable_sets

HARDEST = 12  # images shown of a run
SHOWN = ("train", "hessian", "landscape", "spectrum")  # stages
COLORS = {"start": plots.START_COLOR, "best": plots.BEST_COLOR, "end": plots.END_COLOR, "path": plots.PATH_COLOR}
COLORS |= {"grid": plots.GRID_COLOR, "ink": plots.INK}
COLUMNS = ("n_patches", "depth", "n_parameters", "best_epoch", "train_loss", "test_loss", "test_accuracy", "lambda_max")


def pixel_text(image, config: RunConfig) -> str:
    """A pooled image ``(h, w)`` in radians as base64 of one byte a pixel, row-major; 255 is full ink."""
    bright = np.asarray(image, dtype=np.float64) * (255 * config.n_qubits / (2 * np.pi))
    return base64.b64encode(np.clip(np.rint(bright), 0, 255).astype(np.uint8).tobytes()).decode()


def patch_data(config: RunConfig, split: Split) -> dict:
    """Every valid stride of a configuration, and the first image of each class."""
    digits = []
    for label in range(config.n_classes):
        found = torch.nonzero(split.labels == label)
        if len(found):
            digits.append({"label": label, "pixels": pixel_text(split.images[found[0, 0]], config)})
    strides = [config.replace(stride=stride) for stride in valid_strides(config.image_size, config.patch_size)]
    return {
        "imageSize": config.image_size,
        "patchSize": config.patch_size,
        "stride": config.stride,
        "digits": digits,
        "strides": [_stride_data(choice) for choice in strides],
    }


def _stride_data(config: RunConfig) -> dict:
    steps = [number * config.stride for number in range(config.patches_per_side)]
    return {
        "stride": config.stride,
        "perSide": config.patches_per_side,
        "color": plots.patch_color(config.n_patches),
        "corners": [[row, column] for row in steps for column in steps],  # as cut_patches orders them
        "coverage": [count for row in config.coverage for count in row],
    }


# -- runs -----------------------------------------------------------------------------------------------------


def predict_runs(runs: Sequence[RunFolder]) -> dict[str, tuple[Split, Predictions]]:
    """Each run's test images and its answers to them at the best epoch, by run id; files are read once a data set."""
    splits, found = {}, {}
    for run in runs:
        config = run.config
        key = (config.dataset, config.n_qubits, config.n_classes, config.image_size, config.n_test)
        if key not in splits:
            splits[key] = load_split(config, "test")
        found[run.run_id] = (splits[key], predict(run.model(), splits[key]))
    return found


def most_complete(runs: Sequence[RunFolder]) -> RunFolder:
    """The run to begin with: of most stages that the explorer shows, the paper's before others, then the first.

    Raises:
        ValueError: no runs.
    """
    return max(runs, key=lambda run: (sum(run.record(stage) is not None for stage in SHOWN), run.config.is_paper_run))


def explorer_data(runs: Sequence[RunFolder], answers: dict[str, tuple[Split, Predictions]], folder: str) -> dict:
    """Everything the run explorer shows.

    Args:
        runs: one or more.
        answers: of `predict_runs`.
        folder: leads from the page to the run reports.
    """
    groups = sorted(comparable_sets(runs), key=lambda group: not any(run.config.is_paper_run for run in group))
    return {
        "colors": COLORS,
        "first": most_complete(runs).run_id,
        "sets": [
            {"label": label, "runs": [run_data(run, *answers[run.run_id], folder) for run in group]}
            for label, group in zip(set_labels(groups), groups, strict=True)
        ],
    }


def set_labels(groups: Sequence[Sequence[RunFolder]]) -> list[str]:
    """A name for each comparable set: its size, and whatever else tells it from sets of the same size."""
    fields = [group[0].config.to_dict() for group in groups]
    sizes = [(values["n_qubits"], values["n_train"]) for values in fields]
    free = {"stride", "depth", "learning_rate", "n_qubits", "n_train"}
    labels = []
    for group, values, size in zip(groups, fields, sizes, strict=True):
        like = [other for other, its_size in zip(fields, sizes, strict=True) if its_size == size]
        differing = [name for name in values if name not in free and len({other[name] for other in like}) > 1]
        full = "Further runs" if size[1] >= RunConfig().n_train else "Small runs"
        kind = "Paper runs" if any(run.config.is_paper_run for run in group) else full
        details = [f"{size[0]} qubits", f"{size[1]:,} images", *(f"{name} {values[name]}" for name in differing)]
        labels.append(f"{kind}: {', '.join(details)}")
    return labels


def run_data(run: RunFolder, split: Split, predictions: Predictions, folder: str) -> dict:
    """One run: numbers, curves, landscape and spectrum (None where the stage is missing), confusion, hardest images."""
    config, row = run.config, summary([run]).iloc[0]
    return {
        "id": run.run_id,
        "title": report_title(run),
        "href": f"{folder}{run.run_id}.html",
        "stride": config.stride,
        "depth": config.depth,
        "patches": config.n_patches,
        "rate": f"{config.learning_rate:.2g}",
        "color": plots.patch_color(config.n_patches),
        "numbers": [[tables.HEADINGS[column], tables.formatted(column, row[column])] for column in COLUMNS],
        "curves": _curves(run),
        "landscape": _landscape(run),
        "spectrum": _spectrum(run),
        "testImages": len(split),
        "accuracy": rounded(predictions.accuracy),
        "confusion": predictions.confusion().tolist(),
        "imageSize": config.image_size,
        "hardest": [_hard_image(split, predictions, index, config) for index in predictions.hardest(HARDEST)],
    }


def rounded(values, digits: int = 4) -> float | list | None:
    """Numbers to so many significant digits, for JSON; None for what is not finite."""
    if np.ndim(values):
        return [rounded(value, digits) for value in values]
    return float(f"{values:.{digits}g}") if np.isfinite(values) else None


def _curves(run: RunFolder) -> dict:
    history = run.history()
    columns = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    return {"epoch": history["epoch"].tolist(), "best": run.record("train")["best_epoch"]} | {
        name: rounded(history[name]) for name in columns
    }


def _landscape(run: RunFolder) -> dict | None:
    """The principal plane in the units of the paper's figure 3, the trajectory a little above the surface."""
    if run.record("landscape") is None:
        return None
    landscape = run.landscape()
    units, levels = plots.trajectory_norms(landscape), plots.contour_levels(landscape.loss)
    heights = path_heights(landscape, landscape.x, landscape.y, landscape.loss)
    return {
        "x": rounded(landscape.x / units[0]),
        "y": rounded(landscape.y / units[1]),
        "loss": rounded(landscape.loss),
        "path": rounded(np.column_stack([landscape.trajectory / units, heights]).T),
        "best": landscape.best,
        "ratios": rounded(landscape.ratios, 3),
        "azimuth": viewpoint(landscape.loss),
        "levels": rounded([levels[0], levels[-1], levels[1] - levels[0]]),
    }


def _spectrum(run: RunFolder) -> dict | None:
    """Eigenvalues a bin of the density, and both ends of the spectrum, the largest first."""
    record = run.record("spectrum")
    if record is None:
        return None
    density = stored_density(run)
    edges, ends = symlog_edges(density), run.eigenvalues()
    return {
        "edges": rounded(edges),
        "counts": rounded(histogram(density, edges).counts),
        "linear": rounded(density.resolution or 1.0),
        "largest": rounded(ends.loc[ends["end"] == "largest", "eigenvalue"]),
        "smallest": rounded(ends.loc[ends["end"] == "smallest", "eigenvalue"]),
        "outliers": record["outliers"],
        "images": record["images_used"],
    }


def _hard_image(split: Split, predictions: Predictions, index: int, config: RunConfig) -> dict:
    return {
        "number": int(index),
        "label": int(predictions.labels[index]),
        "said": int(predictions.predicted[index]),
        "loss": rounded(predictions.losses[index], 3),
        "pixels": pixel_text(split.images[index], config),
    }
