"""Stored runs looked at more closely: at equal size, and what their pictures can show."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qpatch.curvature.bound import Flattening, factors
from qpatch.data import load_dataset, stratified_subset
from qpatch.landscape.grid import CONTOUR_STEP
from qpatch.model.perceptron import build_model
from qpatch.runs.store import RunFolder

NEAR = 0.18  # numbers of parameters within this fraction of one another are drawn together


def of_size(table: pd.DataFrame, n_parameters: int, within: float = NEAR) -> pd.DataFrame:
    """The rows of a summary whose number of parameters lies within a fraction of a given one, fewest patches first."""
    near = (table["n_parameters"] / n_parameters - 1).abs() <= within
    return table[near].sort_values(["n_patches", "depth"])


def resolution(run: RunFolder) -> dict[str, float]:
    """What a run's picture could show of its sharpest direction, in parameter units.

    ``step`` is the larger spacing of the grid; ``half_width`` how far along the top eigenvector the loss rises by one
    contour, ``sqrt(2 * 0.5 / lambda_max)`` in the quadratic approximation; NaN without an eigenvalue.
    """
    landscape, record = run.landscape(), run.record("hessian")
    step = max(float(np.diff(axis).max()) for axis in (landscape.x, landscape.y))
    curvature = record["lambda_max"] if record else np.nan
    return {"step": step, "half_width": float(np.sqrt(2 * CONTOUR_STEP / curvature))}


def curvature_shares(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """What the principal plane and a random one hold, in per cent, a row for each run whose slices are stored.

    Of the path's variance, and of the Hessian's trace, of which a random plane of n parameters holds 2 / n on average.
    """
    stored = [run.record("slices")["planes"] for run in runs if run.state("slices") == "done"]
    return pd.DataFrame(
        {f"Path, {name}": 100 * sum(planes[name]["ratios"]) for name in ("principal", "random")}
        | {f"Trace, {name}": 100 * planes[name]["of_trace"] for name in ("principal", "random")}
        for planes in stored
    )


def movement(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """How far the angles are from where they started at the best epoch, in radians: a row a run.

    ``per_qnn`` is the mean over the QNNs of each one's distance, ``in_all`` that of all together, ``per_angle`` the
    root of its mean square over the angles; ``norm`` is the norm of all angles over what it was at the start.
    """
    rows = []
    for run in runs:
        start, best = build_model(run.config).angles.detach().double(), run.best_parameters()["angles"].double()
        moved = best - start
        row = {"n_patches": run.config.n_patches, "depth": run.config.depth, "seed": run.config.seed}
        row |= {"per_qnn": moved.norm(dim=1).mean().item(), "in_all": moved.norm().item()}
        row |= {"per_angle": moved.square().mean().sqrt().item(), "norm": (best.norm() / start.norm()).item()}
        rows.append(row)
    return pd.DataFrame(rows)


def flattening(run: RunFolder, n_images: int = 250) -> Flattening:
    """The factors of the largest curvature at a run's best epoch, on a subset of its training images."""
    images = stratified_subset(load_dataset(run.config).train, n_images).images
    return factors(run.model(), images)
