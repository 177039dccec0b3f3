"""The flatness stage of a small run against dense matrices in double precision; where a loss is crossed."""

import itertools

import numpy as np
import pytest
import torch
from helpers import TINY
from safetensors.torch import load_file, save_file

from qpatch.curvature.loss import LossCurvature
from qpatch.files import ResultError
from qpatch.model.flat import move_to
from qpatch.runs import compute_stage, train
from qpatch.runs.problems import run_problems
from qpatch.runs.stages.flatness import RESIDUAL, STAGE, crossings, epochs_wanted

LONG = TINY.replace(epochs=8, learning_rate=1e-2)
SETTINGS = {"loss": 1.0, "n_images": 0, "start_seed": 2}


def compute(shapes):
    train(LONG, "cpu", shapes)
    return compute_stage("flatness", LONG, "cpu", data=shapes, **SETTINGS)


@pytest.fixture
def run(run_of):
    return run_of(LONG, compute)


@pytest.mark.parametrize(
    ("losses", "best", "expected"),
    [
        ([5, 3, 2, 1.5], 3, {}),  # never so low
        ([5, 0.5, 0.4, 0.3], 3, {"first": 0, "last": 0}),
        ([5, 0.5, 2, 3, 0.4, 0.3], 5, {"first": 0, "last": 3}),
        ([5, 0.5, 2, 0.6], 1, {"first": 0, "last": 0}),  # a fall after the best row is not on the way to it
        ([5, 1.0, 2, 0.6], 3, {"first": 0, "last": 2}),  # what is exactly the loss has reached it
    ],
)
def test_crossings_of_a_loss(losses, best, expected):
    assert crossings(np.array(losses, float), 1.0, best) == expected


def test_its_epochs_are_the_best_and_those_around_the_crossings(run):
    losses, best = run.history()["train_loss"].to_numpy(), run.record("train")["best_epoch"]
    epochs = run.table("flatness.csv")["epoch"].tolist()
    assert best in epochs
    assert len(epochs) >= 3
    for before, after in itertools.pairwise(epochs):
        if after == before + 1 and after != best:
            assert losses[before + 1] > SETTINGS["loss"] >= losses[after + 1]
    assert epochs == epochs_wanted(run, SETTINGS["loss"])
    assert run_problems(run) == []


def test_eigenvalues_and_traces_are_those_of_the_dense_matrices(run, shapes):
    for row in run.table("flatness.csv").to_dict("records"):
        model = run.model().double()
        move_to(model, run.points()[int(row["epoch"]) + 1])
        curvature = LossCurvature(model, shapes.train)
        units = torch.eye(LONG.n_trainable, dtype=torch.float64)
        for name in ("hessian", "gauss_newton"):
            dense = torch.stack([getattr(curvature, name) @ unit for unit in units]).detach().numpy()
            # Of a symmetric matrix an eigenvalue is off by the residual at most, and here by about its square.
            largest = np.linalg.eigvalsh((dense + dense.T) / 2)[-1]
            assert row[f"{name}_max"] == pytest.approx(largest, rel=RESIDUAL)
            assert abs(row[f"{name}_trace"] - np.trace(dense)) < 5 * row[f"{name}_error"]


def test_points_are_the_whole_path_and_end_with_the_best_at_its_epoch(run):
    points, best = run.points(), run.best_parameters()
    assert points.shape == (LONG.epochs + 1, LONG.n_trainable)
    expected = torch.cat([best["angles"].flatten(), best["bias"].flatten()]).double().numpy()
    assert np.array_equal(points[run.record("train")["best_epoch"] + 1], expected)


def test_a_path_without_bias_is_refused_with_a_remedy(run):
    file = run.file("trajectory.safetensors")
    save_file({"angles": load_file(file)["angles"]}, file)
    with pytest.raises(ResultError, match="train the run anew in another results folder"):
        run.points()


def test_what_cannot_be_is_found(run):
    table = run.table("flatness.csv")
    run.write_csv("flatness.csv", table.assign(gauss_newton_max=-1.0, hessian_error=-1.0).iloc[1:])
    found = "\n".join(STAGE.problems(run))
    for words in ("does not hold the best epoch", "standard error below zero", "not positive semidefinite"):
        assert words in found
