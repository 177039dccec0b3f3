"""Several processes against one: gradients, products, eigenvalues, losses, trainings; and what becomes of lost ones."""

import os
import signal
import sys

import numpy as np
import pytest
import torch
from helpers import TINY
from worlds import in_world

from qpatch import curvature, model
from qpatch.data import Split
from qpatch.files import ResultError
from qpatch.model.world import ALONE, LostError, World
from qpatch.runs import together
from qpatch.runs.compute import train

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the processes are forked, on Linux only")
SIZES = [2, 3, 4, 6]  # for the four QNNs of `TINY`: two for each, one or two, one, two processes for some


def derivatives(world: World, split: Split) -> dict[str, np.ndarray]:
    """Of the mean loss at random parameters, in double precision; the images in chunks that no world divides."""
    qnns = model.build_model(TINY).double()
    torch.nn.init.uniform_(qnns.bias, -0.3, 0.3, generator=torch.Generator().manual_seed(1))
    qnns.world = world
    loss, vector = curvature.LossCurvature(qnns, split, chunk=35), torch.linspace(-1, 1, TINY.n_trainable).double()
    top = curvature.extreme_eigenpairs(loss.hessian, 1, 0, tolerance=1e-7)
    at, point = model.loss_at(qnns, split), model.flat_parameters(qnns)
    tensors = {
        "gradient": loss.gradient(),
        "Hessian": loss.hessian @ vector,
        "Gauss-Newton": loss.gauss_newton @ vector,
        "labels": loss.label_gradients(),
    }
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return arrays | {"eigenvalue": top.largest, "losses": np.array([at(point), at(point[: TINY.n_angles] + 0.1)])}


@pytest.fixture(scope="module")
def alone():
    kept = {}
    return lambda split: kept or kept.update(derivatives(ALONE, split)) or kept


@pytest.mark.parametrize("size", SIZES)
def test_derivatives_and_losses_are_those_of_one_process(shapes, alone, size):
    """In double precision some 1e-15; the eigenvalue's own error is the square of its residual."""
    found = in_world(size, lambda world: derivatives(world, shapes.train))
    for name, expected in alone(shapes.train).items():
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-12 * scale, err_msg=name)


def test_a_training_goes_on_with_any_number_of_processes(shapes, tmp_path, monkeypatch):
    """Stopped on four processes in the second epoch, on six in the next; the rest alone.

    Adam divides by the root of the squared gradient plus 1e-8: of rounding, 1e-16 of a gradient that is nearly zero, a
    step can make 1e-8 of the rate, and there are twelve.
    """
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("QPATCH_RESULTS", str(tmp_path / "alone"))
        expected = train(TINY, "cpu", shapes, variant="double")
    for size, steps in ((4, 4), (6, 3)):
        options = {"max_steps": steps, "variant": "double"}
        in_world(size, lambda world, options=options: train(TINY, "cpu", shapes, world=world, **options).run_id)
    run = train(TINY, "cpu", shapes, variant="double")
    assert run.state("train") == "done"
    assert run.record("train")["machine"]["processes"] == 6
    assert "processes" not in expected.record("train")["machine"]
    bound = 12 * TINY.learning_rate * 1e-8
    assert np.abs(run.points() - expected.points()).max() < bound
    losses = ["train_loss", "test_loss"]
    # A loss moves with the parameters by no more than its gradient, of some tens, times so many of them.
    np.testing.assert_allclose(run.history()[losses], expected.history()[losses], atol=1e3 * bound)
    np.testing.assert_allclose(run.iterations(), expected.iterations(), atol=1e3 * bound)


def test_gradients_of_gradients_cross_processes(shapes):
    """Double backward through the mean logits, for a loss that is no cross-entropy."""

    def twice(world):
        qnns = model.build_model(TINY).double()
        qnns.world = world
        value = (qnns(shapes.train.images[:7]) ** 2).sum()
        (first,) = torch.autograd.grad(value, qnns.angles, create_graph=True)
        # What the gradient by one's own angles changes by everyone's: each process has its own share of the sum.
        (second,) = torch.autograd.grad((first * torch.cos(qnns.angles)).sum(), qnns.angles)
        return world.gathered(second[world.own].clone()).numpy()

    expected = twice(ALONE)
    found = in_world(3, twice, follow=twice)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_a_lost_process_is_noticed():
    def lead(world):
        try:
            world.total(torch.ones(1))
        except LostError as error:
            return str(error)

    assert "goes on where it was" in in_world(2, lead, follow=lambda world: os.kill(os.getpid(), signal.SIGKILL))


def test_another_version_of_the_code_is_refused_by_all():
    def check(world):
        together.provenance.code_digest = lambda: "another" if world.rank == 2 else "the same"  # in this fork
        with pytest.raises(ResultError, match="1 of 3 processes run another version"):
            together.check_code(world)
        return "refused"

    assert in_world(3, check, follow=check) == "refused"
