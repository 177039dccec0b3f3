"""Gradient and Hessian of a model's mean loss over many images, against the dense circuit in double precision."""

import pytest
import torch
from helpers import TINY
from oracles import FlatLoss, gradient, hessian_products, relative_error

from qpatch.config import RunConfig
from qpatch.curvature import loss as curvature_module
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN

SMALL = {"n_train": 20, "n_test": 10, "batch_size": 10}
TWO = RunConfig(stride=1, depth=1, n_qubits=2, n_classes=3, image_size=3, scale=2.0, **SMALL)
FOUR = RunConfig(stride=1, depth=1, n_qubits=4, n_classes=5, image_size=5, **SMALL)
SIX = RunConfig(stride=1, depth=1, n_qubits=6, n_classes=10, image_size=7, **SMALL)
RTOL = 1e-10  # the project's promise, relative to the largest entry: scale^2 makes entries of thousands


def split_of(config: RunConfig, n_images: int = 5) -> Split:
    generator = torch.Generator().manual_seed(2)
    images = torch.rand(n_images, config.image_size, config.image_size, dtype=torch.float64, generator=generator)
    return Split(images, torch.arange(n_images) % config.n_classes)


def model_of(config: RunConfig) -> PatchQNN:
    model = PatchQNN(config).double()
    with torch.no_grad():
        model.bias += 0.1 * torch.arange(model.bias.numel()).reshape(model.bias.shape).sin()
    return model


def oracle(config: RunConfig, split: Split, curvature: LossCurvature) -> tuple[FlatLoss, torch.Tensor]:
    return FlatLoss(config, split.images, split.labels), curvature.point


@pytest.mark.parametrize("config", [TWO, FOUR, SIX], ids=lambda config: config.run_id)
def test_gradient_is_that_of_the_dense_circuit(config):
    split = split_of(config)
    curvature = LossCurvature(model_of(config), split, chunk=2)
    assert relative_error(curvature.gradient(), gradient(*oracle(config, split, curvature))) < RTOL


@pytest.mark.parametrize("config", [FOUR, SIX], ids=lambda config: config.run_id)
def test_products_are_those_of_the_dense_circuit(config):
    split = split_of(config, 2)
    curvature = LossCurvature(model_of(config), split, chunk=1)
    vectors = torch.randn(3, len(curvature.point), dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    ours = torch.stack([curvature.hessian @ vector for vector in vectors])
    assert relative_error(ours, hessian_products(*oracle(config, split, curvature), vectors)) < RTOL


def test_the_whole_hessian_is_symmetric_and_that_of_the_dense_circuit():
    split = split_of(TWO, 3)
    curvature = LossCurvature(model_of(TWO), split, chunk=2)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    hessian = torch.stack([curvature.hessian @ unit for unit in units])
    assert relative_error(hessian, hessian.T) < RTOL
    assert relative_error(hessian, hessian_products(*oracle(TWO, split, curvature), units)) < RTOL


def test_gauss_newton_is_that_of_the_dense_circuits_jacobian():
    """``J^T S J / N`` with the Jacobian of the dense circuit's logits and the softmax's covariance S written out."""
    split = split_of(TWO, 3)
    curvature = LossCurvature(model_of(TWO), split, chunk=2)
    flat = FlatLoss(TWO, split.images, split.labels)
    jacobian = torch.autograd.functional.jacobian(flat.logits, curvature.point)  # (images, classes, parameters)
    weights = torch.softmax(flat.logits(curvature.point), dim=1)
    covariance = torch.diag_embed(weights) - weights[:, :, None] * weights[:, None, :]
    expected = torch.einsum("bkp,bkl,blq->pq", jacobian, covariance, jacobian) / len(split)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    ours = torch.stack([curvature.gauss_newton @ unit for unit in units])
    assert relative_error(ours, expected) < RTOL


def test_gauss_newton_is_positive_and_chunks_do_not_matter_to_it():
    split = split_of(FOUR)
    whole, chunked = (LossCurvature(model_of(FOUR), split, chunk) for chunk in (None, 2))
    vector = torch.randn(len(whole.point), dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    assert relative_error(chunked.gauss_newton @ vector, whole.gauss_newton @ vector) < 1e-12
    assert vector @ (whole.gauss_newton @ vector) > 0  # never negative, as a Hessian may be


def test_vectors_of_another_size_are_refused():
    curvature = LossCurvature(model_of(TWO), split_of(TWO))
    with pytest.raises(ValueError, match=r"shape \(3,\).*give \(\d+,\)"):
        curvature.hessian @ torch.ones(3)


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 100])
def test_chunks_do_not_matter(chunk):
    """Only the order of additions differs: double precision leaves 1e-13."""
    model, split = model_of(FOUR), split_of(FOUR)
    chunked, whole = LossCurvature(model, split, chunk), LossCurvature(model, split)
    vector = torch.randn(len(whole.point), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert relative_error(chunked.gradient(), whole.gradient()) < 1e-12
    assert relative_error(chunked.hessian @ vector, whole.hessian @ vector) < 1e-12


def test_what_products_share_changes_no_bit(monkeypatch):
    """Products that read what an earlier one computed, and products that compute all of it."""
    model, split = model_of(FOUR), split_of(FOUR)
    sharing = LossCurvature(model, split, chunk=2)
    vectors = torch.randn(3, len(sharing.point), generator=torch.Generator().manual_seed(5)).double()
    shared = [sharing.hessian @ vector for vector in vectors]
    monkeypatch.setattr(curvature_module, "KEPT_BYTES", 0)
    assert all(
        torch.equal(LossCurvature(model, split, chunk=2).hessian @ vector, product)
        for vector, product in zip(vectors, shared, strict=True)
    )


def test_what_products_share_takes_a_quarter_of_the_free_memory_at_most(monkeypatch):
    curvature = LossCurvature(model_of(FOUR), split_of(FOUR), chunk=1)
    monkeypatch.setattr(curvature_module, "free_memory", lambda device: 4_000_000)
    curvature.hessian @ curvature.point
    assert curvature._kept.limit == 1_000_000
    monkeypatch.setattr(curvature_module, "free_memory", lambda device: 2**40)
    curvature.model.angles.data += 0.1
    curvature.hessian @ curvature.point
    assert curvature._kept.limit == curvature_module.KEPT_BYTES


def test_a_model_that_has_moved_is_seen():
    model, split = model_of(FOUR), split_of(FOUR)
    curvature = LossCurvature(model, split)
    vector = torch.ones_like(curvature.point)
    before = curvature.hessian @ vector
    model.angles.data += 0.1
    after = curvature.hessian @ vector
    assert not torch.equal(before, after)
    assert torch.equal(after, LossCurvature(model, split).hessian @ vector)


def test_a_model_made_double_later_computes_in_double():
    model, split = PatchQNN(FOUR), split_of(FOUR)
    curvature = LossCurvature(model, Split(split.images.float(), split.labels))
    vector = torch.ones_like(curvature.point)
    products = [curvature.hessian, curvature.gauss_newton]
    singles = [product @ vector for product in products]
    model.double()
    for single, product in zip(singles, products, strict=True):
        double = product @ vector
        assert double.dtype == torch.float64
        assert relative_error(single.double(), double) < 1e-4  # float32, of second derivatives in 100 squared
    assert curvature.gradient().dtype == torch.float64
    assert torch.equal(curvature.hessian @ vector.double(), products[0] @ vector)


@pytest.mark.parametrize("name", ["angles", "bias"])
def test_a_frozen_parameter_is_refused(name):
    model = model_of(TWO)
    getattr(model, name).requires_grad_(False)
    curvature = LossCurvature(model, split_of(TWO))
    vector = torch.ones_like(curvature.point)
    for compute in (
        curvature.gradient,
        curvature.label_gradients,
        lambda: curvature.hessian @ vector,
        lambda: curvature.gauss_newton @ vector,
    ):
        with pytest.raises(ValueError, match=r"one is frozen; call model\.requires_grad_\(\)"):
            compute()
    model.requires_grad_()  # the remedy
    assert torch.equal(curvature.gradient(), LossCurvature(model_of(TWO), split_of(TWO)).gradient())


def test_product_is_the_change_of_the_gradient():
    """Central difference with step h: an error of order h^2 = 1e-8 times third derivatives."""
    model, split = model_of(FOUR), split_of(FOUR)
    curvature = LossCurvature(model, split)
    vector = torch.randn(len(curvature.point), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    product, step, sides = curvature.hessian @ vector, 1e-5, []
    start = curvature.point.clone()
    for sign in (1, -1):
        angles, bias = (start + sign * step * vector).split([model.angles.numel(), model.bias.numel()])
        with torch.no_grad():
            model.angles.copy_(angles.reshape(model.angles.shape))
            model.bias.copy_(bias.reshape(model.bias.shape))
        sides.append(curvature.gradient())
    assert relative_error((sides[0] - sides[1]) / (2 * step), product) < 1e-5


def test_parameters_are_flat_angles_then_bias_and_stay_untouched():
    model = model_of(TWO)
    curvature = LossCurvature(model, split_of(TWO))
    before = curvature.point.clone()
    assert torch.equal(before, torch.cat([model.angles.flatten(), model.bias.flatten()]))
    curvature.gradient()
    curvature.hessian @ torch.ones_like(before)
    assert torch.equal(curvature.point, before)
    assert model.angles.grad is None
    assert model.bias.grad is None


def test_weight_decay_is_no_part_of_the_loss(shapes):
    products = []
    for decay in (0.0, 1.0):
        curvature = LossCurvature(PatchQNN(TINY.replace(weight_decay=decay)), shapes.train)
        products.append(curvature.hessian @ torch.ones_like(curvature.point))
    assert torch.equal(*products)
