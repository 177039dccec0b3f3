"""The engine in double precision against the dense circuit: values, gradients and whole Hessians, to 1e-10."""

import contextlib
import functools

import pytest
import torch
from oracles import expectations, gradient, hessian_products
from torch.autograd import forward_ad

from qpatch import engine
from qpatch.engine import compiled

ATOL = 1e-10  # the project's promise; values and derivatives here are of order 1


def circuit(n_qubits: int, depth: int, n_patches: int = 2, n_images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Random angles ``(P, 6 n d + 2 n^2)`` and features ``(B, P, n^2)``."""
    generator = torch.Generator().manual_seed(n_qubits + depth)
    n_angles = 6 * n_qubits * depth + 2 * n_qubits**2
    angles = torch.rand(n_patches, n_angles, dtype=torch.float64, generator=generator) * torch.pi
    features = torch.randn(n_images, n_patches, n_qubits**2, dtype=torch.float64, generator=generator)
    return angles, features


def fast(angles: torch.Tensor, features: torch.Tensor, n_qubits: int, n_classes: int) -> torch.Tensor:
    return engine.expectations(engine.prepare(angles, n_qubits), features, n_classes)


@pytest.mark.parametrize(
    ("n_qubits", "depth", "n_classes"), [(2, 1, 4), (2, 4, 3), (4, 1, 8), (4, 3, 7), (6, 1, 12), (6, 2, 2)]
)
def test_expectation_values_are_those_of_the_dense_circuit(n_qubits, depth, n_classes):
    angles, features = circuit(n_qubits, depth)
    value = fast(angles, features, n_qubits, n_classes)
    assert value.shape == (2, 3, n_classes)
    assert torch.allclose(value, expectations(angles, features, n_qubits, n_classes), rtol=0, atol=ATOL)


def weighted(compute, n_qubits: int, n_classes: int, split: tuple[int, int], shapes):
    """A curved function of flat angles and features: a weighted sum of values and of their squares."""

    def loss(flat: torch.Tensor) -> torch.Tensor:
        angles, features = (part.reshape(shape) for part, shape in zip(flat.split(split), shapes, strict=True))
        values = compute(angles, features, n_qubits, n_classes).flatten()
        weights = torch.linspace(-1, 2, len(values), dtype=torch.float64)
        return (weights * values).sum() + (weights.flip(0) * values**2).sum()

    return loss


def losses(n_qubits: int, depth: int, n_patches: int, n_images: int):
    """The same function through the engine and through the dense circuit, and the point where to compare them."""
    angles, features = circuit(n_qubits, depth, n_patches, n_images)
    arguments = (n_qubits, 2 * n_qubits, (angles.numel(), features.numel()), (angles.shape, features.shape))
    return (
        weighted(fast, *arguments),
        weighted(expectations, *arguments),
        torch.cat([angles.flatten(), features.flatten()]),
    )


@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 2), (4, 2), (6, 1)])
def test_gradients_by_angles_and_features_are_those_of_the_dense_circuit(n_qubits, depth):
    ours, dense, point = losses(n_qubits, depth, n_patches=2, n_images=2)
    assert torch.allclose(gradient(ours, point), gradient(dense, point), rtol=0, atol=ATOL)


@pytest.mark.parametrize(
    ("n_qubits", "depth", "n_patches", "n_images"), [(2, 2, 2, 2), (4, 1, 1, 2), (4, 2, 1, 1), (6, 1, 1, 1)]
)
def test_the_whole_hessian_by_angles_and_features_is_that_of_the_dense_circuit(n_qubits, depth, n_patches, n_images):
    ours, dense, point = losses(n_qubits, depth, n_patches, n_images)
    units = torch.eye(len(point), dtype=torch.float64)
    hessian = hessian_products(ours, point, units, batched=False)
    assert torch.allclose(hessian, hessian_products(dense, point, units), rtol=0, atol=ATOL)


@pytest.mark.parametrize("moving", ["angles", "features"])
def test_function_transforms_give_what_autograd_gives(moving):
    """Gradients, Jacobians both ways, batches of gradients and Hessians by `torch.func`, against the dense circuit."""
    angles, features = circuit(2, 1)
    point = {"angles": angles, "features": features}[moving]

    def values(compute, values):
        return compute(*((values, features) if moving == "angles" else (angles, values)), 2, 4)

    ours, dense = (functools.partial(values, compute) for compute in (fast, expectations))
    jacobian = torch.autograd.functional.jacobian(dense, point)
    along = torch.linspace(-1, 1, point.numel(), dtype=torch.float64).reshape(point.shape)
    hessian = torch.autograd.functional.hessian(lambda values: dense(values).square().sum(), point)

    def loss(values):
        return ours(values).square().sum()

    curved = torch.func.jvp(torch.func.grad(loss), (point,), (along,))[1]
    batch = torch.stack([point, point + along])
    gradients = torch.func.vmap(torch.func.grad(loss))(batch)
    for found, expected in [
        (torch.func.jacrev(ours)(point), jacobian),
        (torch.func.jacfwd(ours)(point), jacobian),
        (torch.func.jvp(ours, (point,), (along,))[1], torch.tensordot(jacobian, along, along.dim())),
        (gradients, torch.stack([gradient(lambda v: dense(v).square().sum(), each) for each in batch])),
        (torch.func.hessian(loss)(point), hessian),
        (curved, torch.tensordot(hessian, along, along.dim())),
    ]:
        assert torch.allclose(found, expected, rtol=0, atol=ATOL)


def test_backwards_after_forwards_is_refused_and_not_silently_zero():
    angles, features = circuit(2, 1)
    angles.requires_grad_()
    refused = pytest.raises(RuntimeError, match=r"nor backwards after forwards; .* torch\.func\.jvp of torch\.func\.gr")
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(angles, torch.ones_like(angles))
        tangent = forward_ad.unpack_dual(fast(dual, features, 2, 4)).tangent.sum()
        with refused:
            tangent.backward()
    with refused:
        torch.func.jacrev(torch.func.jacfwd(lambda values: fast(values, features, 2, 4)))(angles)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("moving", ["angles", "features"])
def test_third_derivatives_are_refused_and_not_silently_wrong(moving, plain):
    """PyTorch's own `hvp` differentiates a second derivative once more; its `vhp` does not."""
    angles, features = circuit(2, 1)
    point = {"angles": angles, "features": features}[moving]

    def loss(compute, values):
        return compute(*((values, features) if moving == "angles" else (angles, values)), 2, 4).square().sum()

    ours, dense = (functools.partial(loss, compute) for compute in (fast, expectations))
    along = torch.ones_like(point)
    with compiled.switched_off() if plain else contextlib.nullcontext():
        with pytest.raises(RuntimeError, match="differentiated twice, not a third time"):
            torch.autograd.functional.hvp(ours, point, along)
        _, product = torch.autograd.functional.vhp(ours, point, along)
    assert torch.allclose(product, torch.autograd.functional.vhp(dense, point, along)[1], rtol=0, atol=ATOL)


def test_gradients_obey_the_parameter_shift_rule():
    """Each angle enters through one rotation: the derivative is half the difference of values a quarter turn off."""
    angles, features = circuit(4, 2, n_patches=1, n_images=1)
    jacobian = torch.autograd.functional.jacobian(lambda a: fast(a, features, 4, 8)[0, 0], angles)[:, 0]
    for index in range(angles.shape[1]):
        shift = torch.zeros_like(angles)
        shift[0, index] = torch.pi / 2
        difference = fast(angles + shift, features, 4, 8) - fast(angles - shift, features, 4, 8)
        assert torch.allclose(jacobian[:, index], difference[0, 0] / 2, rtol=0, atol=ATOL)


def test_states_keep_norm_one_at_the_papers_size():
    angles, features = circuit(8, 50, n_patches=1)
    states = engine.statevectors(engine.prepare(angles, 8), features)
    assert torch.allclose(states.abs().square().sum(-1), torch.ones(1, 3, dtype=torch.float64), rtol=0, atol=1e-12)


def test_without_rotations_the_readout_is_x_0_and_z_1():
    zeros = torch.zeros(1, 56, dtype=torch.float64)
    values = fast(zeros, torch.zeros(1, 1, 16, dtype=torch.float64), 4, 8)
    assert values.flatten().tolist() == [0.0] * 4 + [1.0] * 4


def test_images_and_qnns_do_not_mix():
    """Another image or another QNN changes nothing, beyond the order in which a matrix product adds."""
    angles, features = circuit(4, 2, n_patches=3, n_images=5)
    together = fast(angles, features, 4, 8)
    for patch in range(3):
        for image in range(5):
            alone = fast(angles[patch : patch + 1], features[image : image + 1, patch : patch + 1], 4, 8)
            assert torch.allclose(together[patch, image], alone[0, 0], rtol=0, atol=1e-13)


def test_single_precision_is_close_to_double():
    """Fourteen rounded factors of 6e-8 and their sums over 64 amplitudes: some 1e-6 in an expectation value."""
    angles, features = (part.float() for part in circuit(6, 20))
    single, exact = fast(angles, features, 6, 12), fast(angles.double(), features.double(), 6, 12)
    assert single.dtype == torch.float32
    assert (single - exact).abs().max() < 2e-6


def test_encoding_gate_is_the_product_of_its_twelve_rotations():
    """Qubit 0 of the paper's first encoding block, written out in the protocol's order."""
    angles, features = circuit(8, 1, n_patches=1, n_images=1)
    gate = engine.encoding_gates(engine.prepare(angles, 8).encoding, features)[0, 0, 0, 0]

    def rotation(axis, angle):
        cos, sin = torch.cos(angle / 2), torch.sin(angle / 2)
        return torch.stack([cos + 0j, -1j * sin, -1j * sin, cos + 0j] if axis == "x" else
                           [cos + 0j, -sin + 0j, sin + 0j, cos + 0j]).reshape(2, 2)  # fmt: skip

    theta, x = angles[0, 16:24], features[0, 0, :4]  # one entangling block of 16 angles comes before
    expected = torch.eye(2, dtype=torch.complex128)
    for axis, angle in [
        ("y", theta[0]), ("x", x[0]), ("y", theta[1]), ("x", theta[2]), ("y", x[1]), ("x", theta[3]),
        ("y", theta[4]), ("x", x[2]), ("y", theta[5]), ("x", theta[6]), ("y", x[3]), ("x", theta[7]),
    ]:  # fmt: skip
        expected = rotation(axis, angle) @ expected
    assert torch.allclose(gate, expected, rtol=0, atol=1e-13)


def test_a_pass_in_inference_mode_leaves_no_trace():
    """What the engine keeps for later must serve a training too. No other test has this number of qubits."""
    angles, features = circuit(10, 1, n_patches=1, n_images=1)
    angles, features = angles.float(), features.float()
    with torch.inference_mode():
        value = fast(angles, features, 10, 2)
    again = fast(angles.requires_grad_(), features, 10, 2)
    again.sum().backward()
    assert torch.equal(value, again)
    assert angles.grad.isfinite().all()
