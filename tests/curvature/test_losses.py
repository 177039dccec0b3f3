"""Any module as a loss of a flat vector: against curvlinops, dense derivatives and the QNN's own products."""

import curvlinops
import pytest
import torch
from helpers import TINY
from oracles import logits, relative_error
from quadratics import SmallNetwork
from torch import nn
from torch.nn.functional import cross_entropy

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.losses import ModuleLoss, check_deterministic
from qpatch.curvature.power import dense_hessian
from qpatch.model.qnn import PatchQNN

RTOL = 1e-10  # the project's promise; double precision leaves some 1e-14


@pytest.fixture(scope="module")
def network():
    return SmallNetwork()


def loss_of(network: SmallNetwork, chunk: int | None = None) -> ModuleLoss:
    return ModuleLoss(network.module, network.criterion, network.inputs, network.targets, chunk)


def dense(product, like: torch.Tensor) -> torch.Tensor:
    return torch.stack([product(unit) for unit in torch.eye(len(like), dtype=like.dtype)], dim=1)


def softmax_gauss_newton(outputs, point: torch.Tensor) -> torch.Tensor:
    """Mean of J' (diag p - p p') J over the images, from the whole Jacobian of ``outputs(point)``, ``(B, K)``."""
    jacobian = torch.autograd.functional.jacobian(outputs, point, vectorize=True)  # (B, K, n)
    shares = outputs(point).softmax(dim=-1)
    inner = torch.diag_embed(shares) - shares[:, :, None] * shares[:, None, :]
    return torch.einsum("bkn,bkl,blm->nm", jacobian, inner, jacobian) / len(shares)


def test_value_and_gradient_are_the_modules(network):
    loss = loss_of(network, chunk=7)
    expected = network.criterion(network.module(network.inputs), network.targets)
    slopes = torch.autograd.grad(expected, list(network.module.parameters()))
    assert loss(loss.like).item() == pytest.approx(expected.item(), rel=1e-13)
    assert relative_error(loss.gradient(), torch.cat([slope.flatten() for slope in slopes])) < RTOL


def test_products_are_the_dense_hessian(network):
    loss = loss_of(network, chunk=7)
    assert relative_error(dense(loss.product, loss.like), dense_hessian(loss, loss.like)) < RTOL


def test_gauss_newton_is_the_formula(network):
    loss = loss_of(network, chunk=7)
    expected = softmax_gauss_newton(lambda point: loss.outputs(point, network.inputs), loss.like)
    ours = dense(loss.gauss_newton_product, loss.like)
    assert relative_error(ours, expected) < RTOL
    assert torch.linalg.eigvalsh(ours).min() > -1e-12 * ours.abs().max()  # positive semidefinite


def test_a_linear_models_hessian_is_all_gauss_newton(network):
    loss = ModuleLoss(nn.Linear(6, 4).double(), network.criterion, network.inputs, network.targets)
    assert relative_error(dense(loss.gauss_newton_product, loss.like), dense(loss.product, loss.like)) < RTOL


@pytest.mark.parametrize("chunk", [1, 9, 39, 40, 1000])
def test_the_number_of_batches_does_not_matter(network, chunk):
    """A mean over images, not of or over batch means; only the order of additions differs."""
    whole, chunked = loss_of(network), loss_of(network, chunk)
    vector = torch.linspace(-1, 1, len(whole.like), dtype=torch.float64)
    assert relative_error(chunked(whole.like), whole(whole.like)) < 1e-13
    for derivative in ("product", "gauss_newton_product"):
        assert relative_error(getattr(chunked, derivative)(vector), getattr(whole, derivative)(vector)) < 1e-12
    assert relative_error(chunked.gradient(), whole.gradient()) < 1e-12


def test_curvlinops_has_the_same_hessian_and_gauss_newton(network):
    loss, parameters = loss_of(network), list(network.module.parameters())
    vector = torch.linspace(-1, 1, len(loss.like), dtype=torch.float64)
    arguments = (network.module, network.criterion, parameters, network.batches(15))
    assert relative_error(loss.product(vector), curvlinops.HessianLinearOperator(*arguments) @ vector) < RTOL
    assert relative_error(loss.gauss_newton_product(vector), curvlinops.GGNLinearOperator(*arguments) @ vector) < RTOL


def test_float32_stays_float32_and_close(network):
    """Single-precision derivatives carry some 1e-6; float64 sums over chunks add nothing to that."""
    exact = loss_of(network)
    single = SmallNetwork()
    single.module.float()
    loss = ModuleLoss(single.module, single.criterion, single.inputs.float(), single.targets, chunk=3)
    vector = torch.linspace(-1, 1, len(exact.like), dtype=torch.float64)
    product = loss.product(vector.float())
    assert product.dtype == torch.float32
    assert relative_error(product.double(), exact.product(vector)) < 1e-5


def test_frozen_parameters_are_left_out_and_nothing_is_changed(network):
    module = SmallNetwork().module
    module[0].requires_grad_(False)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    loss = ModuleLoss(module, network.criterion, network.inputs, network.targets)
    whole = loss_of(network)
    assert len(loss.like) == 36  # the second layer's 8 x 4 weights and 4 biases
    vector = torch.ones_like(loss.like)
    padded = torch.cat([torch.zeros(56, dtype=torch.float64), vector])
    assert relative_error(loss.product(vector), whole.product(padded)[56:]) < RTOL
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(value.grad is None for value in module.parameters())


def test_a_criterion_without_curvature_leaves_the_modules():
    """Mean output of a linear model: no curvature at all; of its square, a constant Hessian x x' a module parameter."""
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]], dtype=torch.float64)
    module = nn.Linear(2, 1, bias=False).double()
    flat = ModuleLoss(module, lambda outputs, _: outputs.mean(), inputs, inputs)
    vector = torch.ones(2, dtype=torch.float64)
    assert torch.equal(flat.product(vector), torch.zeros(2, dtype=torch.float64))
    assert torch.equal(flat.gauss_newton_product(vector), torch.zeros(2, dtype=torch.float64))
    square = ModuleLoss(module, lambda outputs, _: outputs.square().mean() / 2, inputs, inputs, chunk=1)
    assert torch.allclose(square.product(vector), inputs.T @ inputs @ vector / 2, rtol=0, atol=1e-14)


# -- the QNN as a module like any other ---------------------------------------------------------------------------


@pytest.fixture
def qnn(shapes):
    model = PatchQNN(TINY).double()
    with torch.no_grad():
        model.bias += 0.1 * torch.arange(model.bias.numel()).reshape(model.bias.shape).sin()
    return model, shapes.train.images[:20].double(), shapes.train.labels[:20]


def test_the_qnn_has_the_products_of_its_own_engine(qnn, shapes):
    model, images, labels = qnn
    loss = ModuleLoss(model, cross_entropy, images, labels, chunk=7)
    own = LossCurvature(model, type(shapes.train)(images, labels), chunk=6)
    vector = torch.linspace(-1, 1, len(loss.like), dtype=torch.float64).cos()
    assert torch.equal(loss.like, own.like)
    assert relative_error(loss.gradient(), own.gradient()) < RTOL
    assert relative_error(loss.product(vector), own.product(vector)) < RTOL


def test_the_qnns_gauss_newton_is_that_of_the_dense_circuit(qnn):
    """J v by central differences of the dense circuit's logits would be inexact; their forward derivative is not."""
    model, images, labels = qnn
    loss = ModuleLoss(model, cross_entropy, images, labels, chunk=7)
    vector = torch.linspace(-1, 1, len(loss.like), dtype=torch.float64).cos()

    def outputs(point):
        angles, bias = point.split([model.angles.numel(), model.bias.numel()])
        return logits(angles.view_as(model.angles), bias.view_as(model.bias), images, TINY)

    point = loss.like
    _, along = torch.autograd.functional.jvp(outputs, point, vector)
    shares = outputs(point).softmax(dim=-1)
    curved = shares * (along - (shares * along).sum(-1, keepdim=True)) / len(images)
    _, expected = torch.autograd.functional.vjp(outputs, point, curved)
    assert relative_error(loss.gauss_newton_product(vector), expected) < RTOL


# -- what is refused ----------------------------------------------------------------------------------------------


def test_dropout_in_training_mode_is_refused_with_the_remedy(network):
    noisy = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 4)).double()
    arguments = (noisy, network.criterion, network.inputs, network.targets)
    with pytest.raises(ValueError, match=r"not deterministic.*call module\.eval\(\)"):
        ModuleLoss(*arguments)
    noisy.eval()
    assert ModuleLoss(*arguments).like.shape == (92,)


def test_batch_normalisation_in_training_mode_is_no_mean_over_images(network):
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)).double()
    arguments = (module, network.criterion, network.inputs, network.targets)
    with pytest.raises(ValueError, match=r"plain mean over the images.*module\.eval\(\)"):
        ModuleLoss(*arguments)
    assert not module[1].running_mean.any()  # nor has looking moved its running mean
    module.eval()
    assert ModuleLoss(*arguments).product(torch.ones(108, dtype=torch.float64)).isfinite().all()


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (nn.CrossEntropyLoss(reduction="sum"), "plain mean over the images"),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 1.0, 1.0]).double()), "plain mean over the images"),
        (nn.CrossEntropyLoss(reduction="none"), r"shape \(40,\); take its mean"),
    ],
)
def test_a_criterion_that_is_no_mean_is_refused(network, criterion, message):
    with pytest.raises(ValueError, match=message):
        ModuleLoss(network.module, criterion, network.inputs, network.targets)


def test_a_loss_that_is_not_finite_is_refused(network):
    inputs = network.inputs.clone()
    inputs[3] = float("nan")
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        ModuleLoss(network.module, network.criterion, inputs, network.targets)


@pytest.mark.parametrize(("n_inputs", "n_targets", "chunk"), [(0, 0, None), (40, 39, None), (40, 40, 0)])
def test_data_that_do_not_fit_are_refused(network, n_inputs, n_targets, chunk):
    with pytest.raises(ValueError, match="one or more"):
        ModuleLoss(network.module, network.criterion, network.inputs[:n_inputs], network.targets[:n_targets], chunk)


def test_a_module_without_trainable_parameters_is_refused(network):
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        ModuleLoss(nn.Tanh(), network.criterion, network.inputs, network.targets)


def test_determinism_of_any_loss_of_a_vector():
    point = torch.ones(3, dtype=torch.float64)
    assert check_deterministic(lambda x: (x**2).sum(), point) == 3.0
    with pytest.raises(ValueError, match="not deterministic"):
        check_deterministic(lambda x: (x * torch.rand(3)).sum(), point)
    with pytest.raises(FloatingPointError, match="the loss is inf"):
        check_deterministic(lambda x: (x / 0).sum(), point)
