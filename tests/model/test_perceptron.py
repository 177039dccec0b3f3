"""The classical twin against its formula in NumPy, and its curvature against dense second derivatives."""

import numpy as np
import pytest
import torch
from helpers import TINY
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.model import PatchPerceptron, PatchQNN, build_model, cut_patches
from qpatch.model.flat import split_flat
from qpatch.model.perceptron import split_weights

TWIN = TINY.replace(network="perceptron")


def test_the_configuration_names_the_network():
    assert type(build_model(TWIN)) is PatchPerceptron
    assert type(build_model(TINY)) is PatchQNN


def test_outputs_are_those_of_the_formula(shapes):
    model, images = build_model(TWIN).double(), shapes.train.images[:5].double()
    with torch.no_grad():
        model.bias.normal_(generator=torch.Generator().manual_seed(1))
    weights = [part.detach().numpy() for part in model.prepare()]
    pixels = cut_patches(images + model.bias, 4, TWIN.stride).detach().numpy()
    expected = np.zeros((5, TWIN.n_classes))
    for patch in range(TWIN.n_patches):
        first, first_offset, second, second_offset = (part[patch] for part in weights)
        hidden = np.tanh(pixels[:, patch] @ first.T + first_offset)
        expected += TWIN.scale / TWIN.n_patches * np.tanh(hidden @ second.T + second_offset)
    assert model(images).detach().numpy() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("stride", [6, 3, 2])
@pytest.mark.parametrize("depth", [50, 200])
def test_it_has_about_as_many_parameters_as_a_qnn(stride, depth):
    plain, twin = RunConfig(stride=stride, depth=depth), RunConfig(stride=stride, depth=depth, network="perceptron")
    # A hidden unit has 64 + 1 + 10 parameters: the nearest number is off by half of that at most.
    assert abs(plain.n_angles_per_qnn - twin.n_angles_per_qnn) <= 75 / 2
    assert build_model(twin).angles.shape == (twin.n_patches, twin.n_angles_per_qnn)


def test_weights_begin_within_one_over_the_root_of_their_inputs():
    config = RunConfig(network="perceptron")
    weights = split_weights(build_model(config).angles.detach(), config)
    for part, inputs in zip(weights, (64, 64, config.n_hidden, config.n_hidden), strict=True):
        assert part.abs().max() <= inputs**-0.5
        # Uniform: the mean square is a third of the limit's, and of n numbers uncertain by 0.9 / root n of itself.
        assert part.square().mean().item() == pytest.approx(1 / (3 * inputs), rel=5 * 0.9 / part.numel() ** 0.5)


def test_another_seed_draws_other_weights():
    first, second = (build_model(TWIN.replace(seed=seed)).angles for seed in (1, 2))
    assert not torch.equal(first, second)
    assert torch.equal(first, build_model(TWIN.replace(seed=1)).angles)


def test_curvature_is_that_of_dense_second_derivatives(shapes):
    model = build_model(TWIN).double()
    curvature, split = LossCurvature(model, shapes.train, chunk=23), shapes.train.to(model.bias)

    def loss(vector):
        angles, bias = split_flat(vector, TWIN)
        return cross_entropy(functional_call(model, {"angles": angles, "bias": bias}, (split.images,)), split.labels)

    point, vector = curvature.point, torch.linspace(-1, 1, TWIN.n_trainable, dtype=torch.float64)
    hessian = torch.autograd.functional.hessian(loss, point)
    # Both in double precision, of one function: they differ by rounding, some hundred operations deep.
    assert (curvature.hessian @ vector).numpy() == pytest.approx((hessian @ vector).numpy(), rel=1e-9, abs=1e-11)
    gradient = torch.autograd.functional.jacobian(loss, point)
    assert curvature.gradient().detach().numpy() == pytest.approx(gradient.numpy(), rel=1e-9, abs=1e-11)

    def logits(vector):
        angles, bias = split_flat(vector, TWIN)
        return functional_call(model, {"angles": angles, "bias": bias}, (split.images,))

    jacobian = torch.autograd.functional.jacobian(logits, point)
    weights = torch.softmax(logits(point), dim=1)
    centre = torch.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
    gauss_newton = torch.einsum("bkn,bkl,blm->nm", jacobian, centre, jacobian) / len(split)
    product = curvature.gauss_newton @ vector
    assert product.detach().numpy() == pytest.approx((gauss_newton @ vector).detach().numpy(), rel=1e-9, abs=1e-11)
