"""Headline numbers of a run, computed again from its stored files and held against what its records state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pandas as pd

from qpatch.curvature.outliers import count_outliers
from qpatch.runs.slices import stored_profiles, stored_slices
from qpatch.runs.store import RunFolder
from qpatch.study.agreement import first_epoch_problems

ACCURACIES = ["train_accuracy", "test_accuracy"]
LOSSES = ["train_loss", "test_loss"]
POWER_ITERATION = 0.8  # of the largest magnitude: it stops early where eigenvalues are close, some per cent too low
SIGMAS = 6  # standard errors between two estimates of one trace
CLOSE = 1e-5  # relative: what float32 and printed digits leave of a number that was computed in another order


def headline_problems(run: RunFolder) -> list[str]:
    """What the files of a run's finished stages say otherwise than its records, or what cannot be."""
    stages = {"train": _training, "hessian": _hessian, "landscape": _landscape}
    stages |= {"spectrum": _spectrum, "slices": _slices}
    return [problem for stage, problems in stages.items() if run.record(stage) for problem in problems(run)]


# -- training -----------------------------------------------------------------------------------------------------


def _training(run: RunFolder) -> Iterator[str]:
    history, config = run.history(), run.config
    if list(history["epoch"]) != list(range(-1, config.epochs)):
        yield f"history.csv does not hold the epochs -1 to {config.epochs - 1}"
        return
    if not np.isfinite(history.to_numpy()).all():
        yield "history.csv holds a value that is not finite"
        return
    if (history[LOSSES] < 0).any(axis=None) or not history[ACCURACIES].stack().between(0, 1).all():
        yield "history.csv holds a loss below zero, or an accuracy outside 0 to 1"
    if run.record("train")["best_epoch"] != history["epoch"][history["train_loss"].idxmin()]:
        yield "best_epoch is not the epoch of least training loss"
    if not np.allclose(history["learning_rate"], _learning_rates(run), rtol=1e-9, atol=1e-15):
        yield "history.csv holds learning rates other than the cosine annealing's"
    yield from _iterations(run)


def _learning_rates(run: RunFolder) -> list[float]:
    """Of the initial point, none, and of each epoch (the closed form of the annealing)."""
    config = run.config
    swing = (1 + math.cos(math.pi * epoch / config.cosine_period) for epoch in range(config.epochs))
    return [0.0, *(config.learning_rate / 2 * part for part in swing)]


def _iterations(run: RunFolder) -> Iterator[str]:
    iterations, config = run.iterations(), run.config
    expected = list(itertools.product(range(config.epochs), range(config.n_batches)))
    if list(zip(iterations["epoch"], iterations["iteration"], strict=True)) != expected:
        yield f"iterations.csv does not hold the {config.n_batches} iterations of each of {config.epochs} epochs"
        return
    if not np.isfinite(iterations["loss"]).all() or not iterations["accuracy"].between(0, 1).all():
        yield "iterations.csv holds a loss or an accuracy that cannot be"
        return
    yield from first_epoch_problems(run)


# -- curvature ----------------------------------------------------------------------------------------------------


def _hessian(run: RunFolder) -> Iterator[str]:
    estimates, record = run.eigenvalue_estimates(), run.record("hessian")
    if not len(estimates) or not np.isfinite(estimates).all():
        yield "eigenvalue.csv holds a value that is not finite"
        return
    # PyHessian stops when an estimate differs little from the one before, and returns that one before.
    stated = estimates[-2] if record["converged"] and len(estimates) > 1 else estimates[-1]
    if record["lambda_max"] != stated:
        yield f"lambda_max is {record['lambda_max']}, but the estimates in eigenvalue.csv give {stated}"
    tolerance = record["parameters"].get("tolerance")
    changes = np.abs(np.diff(estimates)) / (np.abs(estimates[:-1]) + 1e-6)
    met = len(changes) > 0 and tolerance is not None and bool(changes[-1] < tolerance)
    if tolerance is not None and record["converged"] != met:
        yield f"converged is {record['converged']}, but the last change in eigenvalue.csv says {met}"


def _spectrum(run: RunFolder) -> Iterator[str]:
    eigenvalues, density, record = run.eigenvalues(), run.density(), run.record("spectrum")
    values = [eigenvalues["eigenvalue"], density["node"], density["weight"]]
    if not all(np.isfinite(value).all() for value in values):
        yield "eigenvalues.csv or density.csv holds a value that is not finite"
        return
    ends = eigenvalues.groupby("end")["eigenvalue"]
    for end, name, extreme in (("largest", "lambda_max", "max"), ("smallest", "lambda_min", "min")):
        found = getattr(ends, extreme)().get(end)
        if found is None or not math.isclose(found, record[name], rel_tol=CLOSE):
            yield f"{name} is {record[name]}, but eigenvalues.csv says {found}"
    parameters = record["parameters"]
    if (worst := eigenvalues["residual"].max()) > parameters.get("residual", np.inf):
        yield f"an eigenvalue in eigenvalues.csv has the residual {worst:.3g}, more than {parameters['residual']:g}"
    yield from _counts(run, eigenvalues.query("end == 'largest'"))
    # A Rayleigh quotient lies between the extremes; power iteration's tends to the one of larger magnitude.
    low, high, power = (record[name] for name in ("lambda_min", "lambda_max", "power_iteration"))
    scale = max(abs(low), abs(high))
    if not low - CLOSE * scale <= power <= high + CLOSE * scale or abs(power) < POWER_ITERATION * scale:
        yield f"power_iteration is {power}, which cannot be with eigenvalues from {low} to {high}"
    weights = density.groupby("probe")["weight"].sum()
    if not np.allclose(weights, 1, atol=1e-4):
        worst = weights.iloc[(weights - 1).abs().argmax()]
        yield f"the weights of a probe in density.csv sum to {worst:.6g}, not to one"
        return
    yield from _trace(run, density)


def _counts(run: RunFolder, largest: pd.DataFrame) -> Iterator[str]:
    """The images, the order of the eigenvalues, and the outliers among them."""
    record, values = run.record("spectrum"), largest["eigenvalue"].to_numpy()
    wanted = min(record["parameters"].get("n_images") or run.config.n_train, run.config.n_train)
    if record["images_used"] != wanted:
        yield f"images_used is {record['images_used']}, not {wanted}"
    if (np.diff(values) > 0).any():
        yield "the largest eigenvalues in eigenvalues.csv are not in descending order"
    scale = max(abs(record["lambda_max"]), abs(record["lambda_min"]))
    found = count_outliers(values, largest["residual"].to_numpy() * scale, scale=scale).count
    if record["outliers"] != found:
        yield f"outliers is {record['outliers']}, but eigenvalues.csv has {found} by the rule"


def _trace(run: RunFolder, density: pd.DataFrame) -> Iterator[str]:
    """The density's own estimate of the trace, N times the mean node, must be near the one that is stated.

    With probes of independent normal numbers, N times a probe's mean node has the variance ``2 |H|^2`` (Hutchinson),
    and ``|H|^2`` is about N times the mean squared node.
    """
    record, size = run.record("spectrum"), run.config.n_trainable
    probes = density["probe"].nunique()
    moments = [size * float((density["weight"] * density["node"] ** power).sum()) / probes for power in (1, 2)]
    error = math.hypot(math.sqrt(2 * moments[1] / probes), record["trace_error"])
    if abs(record["trace"] - moments[0]) > SIGMAS * error:
        yield f"trace is {record['trace']:.6g}, but density.csv says {moments[0]:.6g}, give or take {error:.2g}"


# -- landscape ----------------------------------------------------------------------------------------------------


def _landscape(run: RunFolder) -> Iterator[str]:
    landscape, record = run.landscape(), run.record("landscape")
    if not np.isfinite(landscape.loss).all() or not np.isfinite(landscape.trajectory).all():
        yield "landscape.csv or trajectory.csv holds a value that is not finite"
        return
    if (landscape.loss < 0).any():
        yield "landscape.csv holds a loss below zero"
    best = (run.record("train") or {}).get("best_epoch")
    if record["best_epoch"] != best:
        yield f"the landscape is that of epoch {record['best_epoch']}, the best epoch is {best}"
    if len(landscape.trajectory) != run.config.epochs + 1:
        yield f"trajectory.csv holds {len(landscape.trajectory)} points, not {run.config.epochs + 1}"
        return
    scale = np.abs(landscape.trajectory).max()
    if np.abs(landscape.trajectory[landscape.best]).max() > CLOSE * scale:
        yield "trajectory.csv does not have the best epoch at its origin"
    variances = landscape.trajectory.var(axis=0)
    if not math.isclose(variances[1] * record["ratios"][0], variances[0] * record["ratios"][1], rel_tol=1e-3):
        yield "the ratios of explained variance are not those of the path in trajectory.csv"
    if sum(record["ratios"]) > 1 + CLOSE:
        yield f"the ratios of explained variance sum to {sum(record['ratios'])}, more than one"
    yield from _grid(run, landscape.x, landscape.y, landscape.trajectory)


def _grid(run: RunFolder, x: np.ndarray, y: np.ndarray, trajectory: np.ndarray) -> Iterator[str]:
    parameters = run.record("landscape")["parameters"]
    if not parameters:
        return
    n_points, margin = parameters["n_points"], parameters["margin"]
    rows = len(pd.read_csv(run.file("landscape.csv")))
    if rows != n_points**2 or (len(x), len(y)) != (n_points, n_points):
        yield f"landscape.csv holds {rows} points, not {n_points} x {n_points}"
        return
    for axis, ticks in enumerate((x, y)):
        low, high = trajectory[:, axis].min() - margin, trajectory[:, axis].max() + margin
        if not np.allclose(ticks, np.linspace(low, high, n_points), rtol=0, atol=CLOSE * (high - low)):
            yield f"the grid in landscape.csv does not span the path in trajectory.csv with a margin of {margin:g}"


def _slices(run: RunFolder) -> Iterator[str]:
    record, n_points = run.record("slices"), run.record("slices")["parameters"]["n_points"]
    tables = [run.table(name).select_dtypes("number").to_numpy() for name in ("planes.csv", "paths.csv", "lines.csv")]
    if not all(np.isfinite(values).all() for values in tables):
        yield "planes.csv, paths.csv or lines.csv holds a value that is not finite"
        return
    best = (run.record("train") or {}).get("best_epoch", -1)
    for each in stored_slices(run):
        if each.loss.shape != (n_points, n_points) or (each.loss < 0).any():
            yield f"planes.csv holds no {n_points} x {n_points} losses of the plane {each.name!r}, or one below zero"
        if len(each.trajectory) != run.config.epochs + 1 or np.abs(each.trajectory[best + 1]).max() > 1e-3:
            yield f"the path on the plane {each.name!r} in paths.csv does not have the best epoch at its origin"
        if not 0 <= each.of_most <= 1 or not 0 <= each.ratios.sum() <= 1 + CLOSE:
            yield f"the shares of the plane {each.name!r} are no shares"
    for profile in stored_profiles(run):
        stated = record["lines"][profile.name]["barrier"]
        if not math.isclose(profile.barrier, stated, rel_tol=CLOSE, abs_tol=CLOSE):
            yield f"the barrier of {profile.name!r} is {stated}, but lines.csv says {profile.barrier}"
