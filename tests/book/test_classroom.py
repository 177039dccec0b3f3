"""The small model of the exercises: small enough, trained by the protocol, curvature at its best epoch."""

import numpy as np
import pytest
import torch

from book.checks.classroom import largest_eigenvalue, small_config, trained
from qpatch.config import ConfigError
from qpatch.curvature.loss import LossCurvature
from qpatch.model.flat import flat_parameters
from qpatch.model.training import evaluate

QUICK = small_config(stride=4, n_train=100, n_test=20, batch_size=50, epochs=3, depth=1)


def test_any_field_can_be_changed_and_no_other():
    assert (small_config(depth=4).depth, small_config().n_qubits) == (4, 4)
    with pytest.raises(ConfigError, match="unknown configuration field 'deep'"):
        small_config(deep=4)


def test_the_model_stands_at_the_best_epoch_of_its_path():
    run = trained(QUICK)
    assert run.path.shape == (4, QUICK.n_trainable)
    assert run.losses.argmin() == run.best
    assert np.array_equal(flat_parameters(run.model), run.path[run.best])
    assert evaluate(run.model, run.data.train)[0] == pytest.approx(run.losses[run.best], rel=1e-6)


def test_a_change_moves_the_first_angle_at_the_start_and_nothing_else():
    difference = trained(QUICK, change=0.5).path[0] - trained(QUICK).path[0]
    assert difference[0] == pytest.approx(0.5, abs=1e-6)
    assert not difference[1:].any()


def test_the_eigenvalue_is_that_of_the_dense_hessian():
    run = trained(QUICK)
    curvature = LossCurvature(run.model, run.data.train)
    dense = torch.stack([curvature.hessian @ unit for unit in torch.eye(len(curvature.point))])
    wanted = torch.linalg.eigvalsh((dense + dense.T).double() / 2)[-1].item()
    assert largest_eigenvalue(QUICK) == pytest.approx(wanted, rel=1e-3)
