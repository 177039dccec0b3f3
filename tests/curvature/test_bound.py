"""The factors of the flattening against the Gauss-Newton matrix itself, and in the two extreme cases."""

import pytest
import torch
from helpers import TINY

from qpatch.curvature.bound import angle_jacobian, factors
from qpatch.curvature.loss import LossCurvature
from qpatch.model.qnn import PatchQNN
from qpatch.runs import train
from qpatch.study.measures import flattening


@pytest.fixture
def model(shapes):
    return PatchQNN(TINY).double()


@pytest.fixture
def images(shapes, model):
    return shapes.train.images.to(model.bias)


def test_jacobian_is_that_of_autograd(model, images):
    def values(angles):
        return model.expectations(model.prepare(angles), images[:2])

    whole = torch.autograd.functional.jacobian(values, model.angles.detach())  # (P, B, K, P, m)
    own = torch.stack([whole[p, :, :, p] for p in range(TINY.n_patches)])
    assert torch.allclose(angle_jacobian(model, images[:2]), own, rtol=0, atol=1e-12)


def test_whole_and_blocks_are_those_of_the_gauss_newton_matrix(model, images, shapes):
    curvature = LossCurvature(model, shapes.train)
    units = torch.eye(len(curvature.point), dtype=torch.float64)[: TINY.n_angles]
    gauss_newton = torch.stack([curvature.gauss_newton @ unit for unit in units])[:, : TINY.n_angles]
    m, found = TINY.n_angles_per_qnn, factors(model, images)
    blocks = [torch.linalg.eigvalsh(gauss_newton[i : i + m, i : i + m])[-1] for i in range(0, TINY.n_angles, m)]
    assert found.whole == pytest.approx(torch.linalg.eigvalsh(gauss_newton)[-1].item(), rel=1e-10)
    assert found.largest_block == pytest.approx(max(blocks).item(), rel=1e-10)
    assert found.sum_of_blocks == pytest.approx(sum(blocks).item(), rel=1e-10)


def test_bounds_are_in_order_and_factors_multiply_to_the_whole(shapes):
    run = train(TINY, "cpu", shapes)
    found = flattening(run, n_images=0)
    assert found.largest_block <= found.whole <= found.sum_of_blocks <= found.bound
    product = found.averaging * found.alignment * found.confidence * found.response
    assert product == pytest.approx(found.whole, rel=1e-5)  # in single precision
    assert found.averaging == TINY.scale**2 / TINY.n_patches
    assert 1 / TINY.n_patches <= found.alignment <= 1


def test_copies_of_one_qnn_on_the_same_patch_are_aligned(model):
    """All pixels alike make all patches alike; with the same angles the bound is reached."""
    with torch.no_grad():
        model.angles.copy_(model.angles[:1].expand_as(model.angles))
    images = torch.linspace(0.1, 0.7, 5, dtype=torch.float64)[:, None, None].expand(5, *model.bias.shape)
    found = factors(model, images)
    assert found.alignment == pytest.approx(1, rel=1e-10)
    assert found.whole == pytest.approx(found.bound, rel=1e-10)
