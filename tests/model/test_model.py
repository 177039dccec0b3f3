"""PatchQNN: initial point, patches, precision, and the whole model against the dense circuit."""

import contextlib
import math

import pytest
import torch
from oracles import FlatLoss, cut_patches, expectations, gradient, hessian_products, logits
from torch.nn.functional import cross_entropy

import qpatch
from book.oracles.reference import ReferenceQNN
from qpatch.config import RunConfig
from qpatch.engine import compiled
from qpatch.model.qnn import PatchQNN, initial_angles

SMALL = {"n_train": 20, "n_test": 10, "batch_size": 10}
# Overlapping patches share the bias; odd numbers of classes read out one X more than Z.
FOUR = RunConfig(stride=1, depth=1, n_qubits=4, n_classes=7, image_size=5, **SMALL)
SIX = RunConfig(stride=1, depth=1, n_qubits=6, n_classes=12, image_size=7, **SMALL)
ATOL = 1e-10  # the project's promise, in double precision


def double_model(config: RunConfig) -> PatchQNN:
    """A model in double precision, moved off the initial point's zero bias."""
    model = PatchQNN(config).double()
    with torch.no_grad():
        model.bias += torch.linspace(-0.5, 0.5, model.bias.numel()).reshape(model.bias.shape)
    return model


def digits(config: RunConfig, n_images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(8)
    images = torch.rand(n_images, config.image_size, config.image_size, dtype=torch.float64, generator=generator)
    return images, torch.arange(n_images) % config.n_classes


def flat_parameters(model: PatchQNN) -> torch.Tensor:
    return torch.cat([model.angles.detach().flatten(), model.bias.detach().flatten()])


def model_loss(config: RunConfig, images: torch.Tensor, labels: torch.Tensor):
    """The model's loss as a function of its flat parameters."""
    model = PatchQNN(config).double()

    def loss(flat):
        angles, bias = flat.split([config.n_angles, config.image_size**2])
        parameters = {"angles": angles.reshape(model.angles.shape), "bias": bias.reshape(model.bias.shape)}
        return cross_entropy(torch.func.functional_call(model, parameters, (images,)), labels)

    return loss


# -- the initial point --------------------------------------------------------------------------------------------


def test_initial_angles_are_the_protocols_to_the_last_bit():
    """Seed once, then one draw a QNN; angles of another shape or order of draws would be another run."""
    config = RunConfig(stride=3, depth=50)
    torch.manual_seed(config.seed)
    expected = torch.stack([torch.rand(48 * 50 + 128) * math.pi for _ in range(9)])
    assert torch.equal(PatchQNN(config).angles, expected)
    assert torch.equal(PatchQNN(config).bias, torch.zeros(14, 14))


def test_initial_angles_leave_the_global_generator_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    initial_angles(FOUR)
    assert torch.equal(torch.rand(3), expected)


def test_seeds_give_other_angles():
    assert not torch.equal(initial_angles(FOUR), initial_angles(FOUR.replace(seed=1)))


def test_parameters_are_the_angles_and_the_bias():
    shapes = {name: tuple(value.shape) for name, value in PatchQNN(RunConfig(stride=2, depth=3)).named_parameters()}
    assert shapes == {"angles": (16, 48 * 3 + 128), "bias": (14, 14)}


# -- the whole model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [FOUR, SIX, FOUR.replace(scale=1.0, depth=3)], ids=lambda config: config.run_id)
def test_logits_are_those_of_the_dense_circuit(config):
    model, (images, _) = double_model(config), digits(config)
    expected = logits(model.angles, model.bias, images, config)
    value = model(images)
    assert value.dtype == torch.float64
    assert torch.allclose(value, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("config", [FOUR, SIX], ids=lambda config: config.run_id)
def test_gradient_by_angles_and_bias_is_that_of_the_dense_circuit(config):
    data, point = digits(config), flat_parameters(double_model(config))
    ours = gradient(model_loss(config, *data), point)
    assert torch.allclose(ours, gradient(FlatLoss(config, *data), point), rtol=0, atol=ATOL)


@pytest.mark.parametrize("config", [FOUR, SIX], ids=lambda config: config.run_id)
def test_hessian_by_angles_and_bias_is_that_of_the_dense_circuit(config):
    """A single wrong entry of the Hessian shows in its product with a random vector."""
    data, point = digits(config, n_images=2), flat_parameters(double_model(config))
    vectors = torch.randn(3, len(point), dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    ours = hessian_products(model_loss(config, *data), point, vectors, batched=False)
    dense = hessian_products(FlatLoss(config, *data), point, vectors)
    # scale^2 = 10,000 and the 500 terms of a product make its entries a few thousand: relative to the largest
    assert (ours - dense).abs().max() < ATOL * dense.abs().max()


def test_single_precision_backends_agree_on_a_model_that_the_author_never_ran():
    """Six qubits, odd number of classes: TorchQuantum's errors and ours are some 1e-6 in an expectation value."""
    config = RunConfig(stride=2, depth=2, n_qubits=6, n_classes=9, scale=1.0)
    fast, slow = PatchQNN(config), ReferenceQNN(config)
    slow.load_state_dict(fast.state_dict())
    images = digits(config)[0].float()
    assert (fast(images) - slow(images)).abs().max() < 5e-6


def test_one_preparation_serves_many_batches():
    model, (images, _) = double_model(FOUR), digits(FOUR, 4)
    prepared = model.prepare()
    parts = torch.cat([model.logits(prepared, images[:1]), model.logits(prepared, images[1:])])
    assert torch.allclose(parts, model(images), rtol=0, atol=1e-11)  # scale 100 on rounding of 1e-16


def test_logits_are_the_scaled_mean_of_the_qnns_expectation_values():
    model, (images, _) = double_model(SIX), digits(SIX)
    features = torch.stack([cut_patches(image + model.bias, 6, 1) for image in images])
    values = model.expectations(model.prepare(), images)
    assert torch.allclose(values, expectations(model.angles, features, 6, 12), rtol=0, atol=ATOL)
    assert torch.allclose(model(images), 100 * values.mean(0), rtol=0, atol=1e-11)


@pytest.mark.parametrize(("size", "stride", "side"), [(8, 6, 14), (8, 3, 14), (8, 2, 14), (4, 5, 14), (4, 1, 5)])
def test_patches_are_cut_in_row_major_order(size, stride, side):
    images = torch.arange(2 * side * side).reshape(2, side, side)
    expected = torch.stack([cut_patches(image, size, stride) for image in images])
    assert torch.equal(qpatch.cut_patches(images, size, stride), expected)


@pytest.mark.parametrize("shape", [(2, 28, 28), (5, 5), (2, 1, 5, 5), (2, 5, 6)])
def test_images_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match=r"images have shape .*; the model takes \(batch, 5, 5\)"):
        PatchQNN(FOUR)(torch.zeros(shape))


def test_gradients_image_by_image():
    model, (images, labels) = double_model(FOUR), digits(FOUR)
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss(parameters, image, label):
        logits = torch.func.functional_call(model, parameters, (image[None],))
        return cross_entropy(logits, label[None])

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, images, labels)
    dense = [
        gradient(FlatLoss(FOUR, images[i : i + 1], labels[i : i + 1]), flat_parameters(model))
        for i in range(len(images))
    ]
    ours = torch.cat([found["angles"].flatten(1), found["bias"].flatten(1)], dim=1)
    assert torch.allclose(ours, torch.stack(dense), rtol=1e-10, atol=ATOL)


def test_images_of_other_types_are_the_models_or_refused():
    model = PatchQNN(FOUR)
    images = torch.rand(2, 5, 5, generator=torch.Generator().manual_seed(3))
    expected = model(images)
    for given in (images.double(), images.numpy(), images.double().numpy(), images.tolist()):
        assert torch.equal(model(given), expected)
    for given in (images.byte(), images.byte().numpy(), torch.zeros(2, 5, 5).int()):
        with pytest.raises(ValueError, match=r"images are of torch\.\w+; the model takes radians, as `load_dataset`"):
            model(given)


@pytest.mark.parametrize("plain", [False, True])
def test_autocast_leaves_the_models_precision_alone(plain):
    images, labels = digits(SIX)
    images, found = images.float(), []
    with compiled.switched_off() if plain else contextlib.nullcontext():
        for enabled in (False, True):
            model = PatchQNN(SIX)
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                logits = model(images)
                loss = cross_entropy(logits, labels)
            loss.backward()
            found.append((logits, model.angles.grad, model.bias.grad))
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_public_names_exist():
    assert all(hasattr(qpatch, name) for name in qpatch.__all__)
    assert {"RunConfig", "PatchQNN", "Trainer", "load_dataset", "RunFolder"} <= set(qpatch.__all__)
