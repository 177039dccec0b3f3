"""Headline numbers: sound results pass, and each number that is altered is found. Digests are checked elsewhere."""

import numpy as np
import pandas as pd
import pytest
from helpers import (
    MACHINE,
    TINY,
    store_flatness,
    store_hessian,
    store_landscape,
    store_slices,
    store_spectrum,
    store_training,
)

from qpatch.runs.problems import headline_problems
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]
GRID = {"n_points": 3, "margin": 1.0}


@pytest.fixture
def run() -> RunFolder:
    run = store_training(TINY, LOSSES)
    store_hessian(run, [3.0, 4.0, 4.001], {"tolerance": 1e-3})
    path = 2.0 * (np.arange(-1, TINY.epochs) - 2)
    x, y = np.linspace(path.min() - 1, path.max() + 1, 3), np.linspace(-path.max() / 2 - 1, -path.min() / 2 + 1, 3)
    store_landscape(run, x.tolist(), y.tolist(), np.arange(1.0, 10.0).reshape(3, 3))
    run.write_record("landscape", GRID, 1.0, MACHINE, ratios=[0.75, 0.1875], best_epoch=2)
    store_spectrum(run, {"residual": 1e-3})
    store_slices(run)
    store_flatness(run)
    return run


def alter(run: RunFolder, name: str, row: int, column: str, value: float) -> None:
    frame = pd.read_csv(run.file(name))
    frame[column] = frame[column].astype(float)
    frame.loc[row, column] = value
    run.write_csv(name, frame)


def restate(run: RunFolder, stage: str, **values) -> None:
    """The stage's record with other values."""
    record = run.record(stage)
    parameters = record["parameters"] | values.pop("parameters", {})
    kept = {name: record[name] for name in STAGES[stage].record}
    run.write_record(stage, parameters, 1.0, MACHINE, **(kept | values))


def said(run):
    """The problems without their remedies."""
    return [problem.split("; delete ")[0] for problem in headline_problems(run)]


def test_sound_results_have_no_problems(run):
    assert said(run) == []
    assert headline_problems(RunFolder(TINY.replace(seed=3))) == []


@pytest.mark.parametrize(
    ("name", "row", "column", "value", "message"),
    [
        ("history.csv", 2, "epoch", 7, "history.csv does not hold the epochs -1 to 3"),
        ("history.csv", 1, "test_loss", np.nan, "history.csv holds a value that is not finite"),
        ("history.csv", 1, "test_loss", -1.0, "a loss below zero, or an accuracy outside 0 to 1"),
        ("history.csv", 1, "test_accuracy", 1.5, "a loss below zero, or an accuracy outside 0 to 1"),
        ("history.csv", 1, "train_loss", 0.1, "best_epoch is not the epoch of least training loss"),
        ("history.csv", 3, "learning_rate", 0.01, "learning rates other than the cosine annealing's"),
        ("iterations.csv", 5, "iteration", 0, "does not hold the 3 iterations of each of 4 epochs"),
        ("iterations.csv", 5, "loss", np.inf, "iterations.csv holds a value that is not finite"),
        ("iterations.csv", 5, "accuracy", -0.1, "iterations.csv holds an accuracy outside 0 to 1"),
        ("eigenvalue.csv", 1, "estimate", 4.0005, "lambda_max is 4.0, but the estimates in eigenvalue.csv give 4.0005"),
        ("eigenvalue.csv", 2, "estimate", 4.5, "converged is True, but eigenvalue.csv says False"),
        ("eigenvalue.csv", 0, "estimate", np.nan, "eigenvalue.csv holds a value that is not finite"),
        ("landscape.csv", 4, "loss", np.nan, "landscape.csv holds a value that is not finite"),
        ("landscape.csv", 4, "loss", -1.0, "landscape.csv holds a loss below zero"),
        ("planes.csv", 4, "loss", np.inf, "planes.csv holds a value that is not finite"),
        ("planes.csv", 4, "loss", -1.0, "planes.csv holds no 3 x 3 losses of the plane 'principal', or one below zero"),
        ("paths.csv", 3, "x", 0.5, "the path on the plane 'principal' in paths.csv does not have the best epoch"),
        ("lines.csv", 1, "loss", 2.6, "the barrier of 'epoch -1 to 2' is 1.0, but lines.csv says 1.1"),
        ("trajectory.csv", 3, "x", 0.5, "trajectory.csv does not have the best epoch at its origin"),
        ("trajectory.csv", 1, "x", -1.0, "the ratios of explained variance are not those of the path"),
        ("eigenvalues.csv", 0, "eigenvalue", 4.1, "lambda_max is 4.0, but eigenvalues.csv says 4.1"),
        ("eigenvalues.csv", 2, "eigenvalue", -0.6, "lambda_min is -0.5, but eigenvalues.csv says -0.6"),
        ("eigenvalues.csv", 1, "eigenvalue", 4.1, "lambda_max is 4.0, but eigenvalues.csv says 4.1"),
        ("eigenvalues.csv", 1, "residual", 0.5, "has the residual 0.5, more than 0.001"),
        ("density.csv", 1, "weight", 0.7, "the weights of a probe in density.csv sum to 0.9, not to one"),
        ("density.csv", 1, "node", np.nan, "density.csv holds a value that is not finite"),
    ],
)  # fmt: skip
def test_a_number_that_was_altered_is_found(run, name, row, column, value, message):
    alter(run, name, row, column, value)
    assert any(message in problem for problem in headline_problems(run))


@pytest.mark.parametrize(
    ("stage", "values", "message"),
    [
        ("train", {"best_epoch": 1}, "best_epoch is not the epoch of least training loss"),
        ("hessian", {"lambda_max": 4.001}, "lambda_max is 4.001, but the estimates in eigenvalue.csv give 4.0"),
        ("hessian", {"converged": False}, "converged is False, but eigenvalue.csv says True"),
        ("landscape", {"ratios": [0.75, 0.18]}, "the ratios of explained variance are not those of the path"),
        ("landscape", {"best_epoch": 1}, "the landscape is that of epoch 1, the best epoch is 2"),
        ("landscape", {"parameters": {"margin": 2.0}}, "does not span the path in trajectory.csv with a margin of 2"),
        ("landscape", {"parameters": {"n_points": 4}}, "landscape.csv holds 9 points, not 4 x 4"),
        ("landscape", {"ratios": [0.96, 0.24]}, "the ratios of explained variance sum to 1.2, more than one"),
        ("spectrum", {"lambda_max": 4.1}, "lambda_max is 4.1, but eigenvalues.csv says 4"),
        ("spectrum", {"outliers": 2}, "outliers is 2, but eigenvalues.csv has 0 by the rule"),
        (
            "spectrum",
            {"power_iteration": 1.0},
            "power_iteration is 1.0, which cannot be with eigenvalues from -0.5 to 4",
        ),
        (
            "spectrum",
            {"power_iteration": 4.1},
            "power_iteration is 4.1, which cannot be with eigenvalues from -0.5 to 4",
        ),
        ("spectrum", {"images_used": 30}, "images_used is 30, not 60"),
        ("spectrum", {"parameters": {"n_images": 40}}, "images_used is 60, not 40"),
        ("spectrum", {"trace": 900.0}, f"trace is 900, but density.csv says {0.35 * TINY.n_trainable:.6g}"),
    ],
)
def test_a_record_that_states_something_else_is_found(run, stage, values, message):
    restate(run, stage, **values)
    assert any(message in problem for problem in headline_problems(run))


def test_a_missing_row_is_found(run):
    for name, message in (
        ("history.csv", "history.csv does not hold the epochs"),
        ("iterations.csv", "iterations.csv does not hold the 3 iterations"),
        ("trajectory.csv", "trajectory.csv holds 4 points, not 5"),
    ):
        frame = pd.read_csv(run.file(name))
        run.write_csv(name, frame[:-1])
        assert any(message in problem for problem in headline_problems(run))
        run.write_csv(name, frame)
    assert said(run) == []


def test_out_of_iterations_the_last_estimate_is_the_value(run):
    store_hessian(run, [3.0, 4.0], {"tolerance": 1e-3})
    assert said(run) == []
    alter(run, "eigenvalue.csv", 1, "estimate", 5.0)
    assert said(run) == ["lambda_max is 4.0, but the estimates in eigenvalue.csv give 5.0"]


def test_residuals_beside_the_estimates_decide_with_them(run):
    """At a saddle of two equal magnitudes estimates do not change; runs stored without residuals stay as they are."""
    run.write_csv("eigenvalue.csv", pd.DataFrame({"estimate": [3.0, 4.0, 4.001], "residual": [2.0, 1.0, 0.1]}))
    assert said(run) == []
    alter(run, "eigenvalue.csv", 2, "residual", 1.0)
    assert said(run) == ["converged is True, but eigenvalue.csv says False"]
    restate(run, "hessian", converged=False)
    assert said(run) == []
    alter(run, "eigenvalue.csv", 0, "residual", np.nan)
    assert said(run) == ["eigenvalue.csv holds a value that is not finite"]


def restate_ends(run: RunFolder, lambda_min: float, lambda_max: float, **values) -> None:
    alter(run, "eigenvalues.csv", 0, "eigenvalue", lambda_max)
    alter(run, "eigenvalues.csv", 2, "eigenvalue", lambda_min)
    restate(run, "spectrum", lambda_min=lambda_min, lambda_max=lambda_max, **values)


@pytest.mark.parametrize(
    ("hessian", "low", "high", "fits"),
    [
        (-4.079, -4.08, 2.136, True),  # of largest magnitude is the smallest one
        (-4.079, -0.5, 2.136, False),
        (-4.079, -0.5, 4.08, False),
        (2.136, -4.08, 2.136, False),  # an eigenvalue, but not that of largest magnitude
        (4.0, -0.5, 4.3, True),  # stopped early
        (4.0, -0.5, 3.99, False),  # a Rayleigh quotient beyond the largest eigenvalue
        (4.0, -0.5, 8.0, False),
        (1.3, -4.0, 4.0, True),  # with both ends of one magnitude it may end anywhere
        (4.5, -4.0, 4.0, False),
    ],
)
def test_the_hessians_and_the_spectrums_records_may_not_contradict(run, hessian, low, high, fits):
    """One has the eigenvalue of largest magnitude, the other both ends, here of the same images."""
    store_hessian(run, [hessian / 2, hessian, 1.0001 * hessian], {"tolerance": 1e-3})
    power = low if -low > high else high
    restate_ends(run, low, high, power_iteration=power, gauss_newton_lambda_max=high)
    message = f"lambda_max, of largest magnitude, is {hessian} in hessian.json, which cannot be with eigenvalues from"
    assert said(run) == ([] if fits else [f"{message} {low} to {high}"])


@pytest.mark.parametrize(("hessian", "fits"), [(6.0, True), (-21.0, False), (1.0, True), (0.1, False), (40.0, False)])
def test_on_other_images_the_records_may_differ_by_their_sampling(run, hessian, fits):
    """The spectrum on 60 images, the Hessian on 36: five times the magnitude more or less may be chance."""
    store_hessian(run, [hessian / 2, hessian, 1.0001 * hessian], {"tolerance": 1e-3, "subset": 36})
    restate_ends(run, -0.5, 4.0)
    assert bool(headline_problems(run)) != fits


def test_where_the_hessian_has_not_converged_its_estimate_need_only_lie_between(run):
    store_hessian(run, [3.0, 2.0], {"tolerance": 1e-3})
    assert said(run) == []
    store_hessian(run, [3.0, 4.5], {"tolerance": 1e-3})
    assert len(headline_problems(run)) == 1
