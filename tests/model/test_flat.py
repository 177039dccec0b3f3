"""A model's parameters as one vector: the same order as the derivatives', and the loss as a function of it."""

import numpy as np
import pytest
import torch
from helpers import TINY
from torch.nn.functional import cross_entropy

from book.checks.landscapes import nearest_copy
from qpatch.curvature.loss import LossCurvature
from qpatch.model.flat import flat_parameters, follow, join, loss_at, move_to, qnn_groups, split_flat, with_bias
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer, evaluate

SIZE = TINY.n_angles + TINY.image_size**2


@pytest.fixture
def model():
    model = PatchQNN(TINY)
    with torch.no_grad():
        model.bias += torch.linspace(-0.1, 0.1, TINY.image_size**2).view_as(model.bias)
    return model


def test_the_order_is_that_of_the_curvature(model, shapes):
    flat = flat_parameters(model)
    assert (flat.shape, flat.dtype) == ((SIZE,), np.float64)
    assert np.array_equal(flat, LossCurvature(model, shapes.train).point.double().numpy())


def test_a_vector_is_split_as_it_was_joined(model):
    """Written out for the layout's sake: QNN after QNN, each as `ansatz.split_angles` takes it, then rows of pixels."""
    vector = torch.arange(SIZE)
    angles, bias = split_flat(vector, TINY)
    assert angles[1, 2] == TINY.n_angles_per_qnn + 2
    assert bias[1, 2] == TINY.n_angles + TINY.image_size + 2
    assert torch.equal(join(angles, bias), vector)
    groups = qnn_groups(TINY)
    assert torch.equal(vector[groups["QNN 2"]], angles[1])
    assert torch.equal(vector[groups["bias"]], bias.flatten())
    with pytest.raises(ValueError, match=rf"shape \(3,\); .*: give \({SIZE},\)"):
        split_flat(vector[:3], TINY)


def test_a_model_moves_to_any_point(model):
    points = np.random.default_rng(0).normal(size=(2, SIZE)).astype(np.float32).astype(np.float64)
    alone = with_bias(points[:, : TINY.n_angles], model)
    assert np.array_equal(alone[1], [*points[1, : TINY.n_angles], *flat_parameters(model)[TINY.n_angles :]])
    move_to(model, points[1])
    assert np.array_equal(flat_parameters(model), points[1])


def test_loss_at_a_point_is_that_of_the_model_moved_there(model, shapes):
    loss = loss_at(model, shapes.train)
    before = flat_parameters(model)
    assert loss(before) == evaluate(model, shapes.train)[0]
    point = before + 0.1 * np.random.default_rng(0).normal(size=SIZE)
    elsewhere = loss(point)
    assert np.array_equal(flat_parameters(model), before)  # the model stays
    assert loss(before) == evaluate(model, shapes.train)[0]  # and the function has no memory

    with torch.no_grad():
        model.angles.copy_(torch.from_numpy(point[: TINY.n_angles]).view_as(model.angles))
        model.bias.copy_(torch.from_numpy(point[TINY.n_angles :]).view_as(model.bias))
        expected = cross_entropy(model(shapes.train.images), shapes.train.labels).item()
    assert elsewhere == pytest.approx(expected, rel=1e-5)  # float32 logits of scale 100


def test_angles_alone_go_with_the_models_bias(model, shapes):
    loss = loss_at(model, shapes.train)
    flat = flat_parameters(model)
    other = flat.copy()
    other[TINY.n_angles :] = 0
    assert loss(flat[: TINY.n_angles]) == loss(flat)
    expected = loss(flat)
    assert loss(other) != expected
    assert loss(flat[: TINY.n_angles]) == expected  # also after another bias


def test_angles_have_the_period_of_a_turn(model, shapes):
    """Some eps of the logits, of scale 100, in float64; so a line may go to the nearest copy of a point."""
    loss = loss_at(model.double(), shapes.train)
    flat = flat_parameters(model)
    turns = np.zeros(SIZE)
    turns[: TINY.n_angles] = 2 * np.pi * np.random.default_rng(0).integers(-2, 3, TINY.n_angles)
    assert loss(flat + turns) == pytest.approx(loss(flat), rel=1e-11)
    periods = np.where(np.arange(SIZE) < TINY.n_angles, 2 * np.pi, np.inf)
    assert np.allclose(nearest_copy(flat + turns, flat, periods), flat, atol=1e-13)


def test_a_point_of_another_size_is_refused(model, shapes):
    loss = loss_at(model, shapes.train)
    with pytest.raises(ValueError, match=rf"shape \(5,\); give \({TINY.n_angles},\) angles or \({SIZE},\), the bias"):
        loss(np.zeros(5))


def test_following_a_training_gives_its_epochs_and_points(shapes):
    trainer = Trainer(PatchQNN(TINY), shapes)
    start = flat_parameters(trainer.model)
    history, path = follow(trainer, 2)
    assert [epoch.epoch for epoch in history] == [-1, 0, 1]
    assert path.shape == (3, SIZE)
    assert np.array_equal(path[0], start)
    assert np.array_equal(path[-1], flat_parameters(trainer.model))
    loss = loss_at(trainer.model, shapes.train)
    assert [loss(point) for point in path] == [epoch.train_loss for epoch in history]
