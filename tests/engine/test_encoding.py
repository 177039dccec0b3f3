"""One matrix a qubit on every image, against dense Kronecker products and finite differences."""

import functools

import pytest
import torch

from qpatch.engine import encoding
from qpatch.engine.compiled import TASK_IMAGES


def random_gates(n_patches: int, n_qubits: int, n_images: int, dtype=torch.complex128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n_images)
    gaussian = torch.randn(n_patches, n_qubits, n_images, 2, 2, dtype=torch.complex128, generator=generator)
    return torch.linalg.qr(gaussian)[0].to(dtype)


def random_states(*shape: int, dtype=torch.complex128) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(7)).to(dtype)


@pytest.mark.parametrize("apply", [encoding.apply_gates, encoding.apply_gates_plainly])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_qubits", [2, 4, 6])
def test_agrees_with_dense_kronecker_products(apply, n_qubits, shared):
    n_patches, n_images = 2, TASK_IMAGES + 3  # a second, partial task
    gates = random_gates(n_patches, n_qubits, n_images)
    states = random_states(n_patches, 1 if shared else n_images, 2**n_qubits)
    dense = [
        [functools.reduce(torch.kron, gates[patch, :, image]) @ states[patch, 0 if shared else image]
         for image in range(n_images)]
        for patch in range(n_patches)
    ]  # fmt: skip
    expected = torch.stack([torch.stack(row) for row in dense])
    assert torch.allclose(apply(gates, states), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n_qubits", [2, 4, 8])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.complex64, 1e-5), (torch.complex128, 1e-13)])
def test_gradient_agrees_with_autograd_of_plain_pytorch(n_qubits, shared, dtype, tolerance):
    """Both in the same dtype: tens of roundings apart."""
    n_images = TASK_IMAGES + 3
    gates = random_gates(2, n_qubits, n_images, dtype).requires_grad_()
    states = random_states(2, 1 if shared else n_images, 2**n_qubits, dtype=dtype).requires_grad_()
    cotangent = random_states(2, n_images, 2**n_qubits, dtype=dtype)
    fast = torch.autograd.grad(encoding.apply_gates(gates, states), (gates, states), cotangent)
    plain = torch.autograd.grad(encoding.apply_gates_plainly(gates, states), (gates, states), cotangent)
    for value, expected in zip(fast, plain, strict=True):
        assert (value - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize("shared", [True, False])
def test_second_derivatives_agree_with_finite_differences(shared):
    """Gates are kept unitary by making them from angles, as in the circuit."""
    angles = torch.rand(1, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    states = random_states(1, 1 if shared else 3, 4).requires_grad_()

    def function(angles, states):
        cos, sin = torch.cos(angles[..., 0]), torch.sin(angles[..., 0])
        phase, other = torch.exp(1j * angles[..., 1]), torch.exp(1j * angles[..., 2])
        upper = torch.stack([cos * phase, -sin / other], dim=-1)
        lower = torch.stack([sin * other, cos / phase], dim=-1)
        return encoding.apply_gates(torch.stack([upper, lower], dim=-2), states)

    assert torch.autograd.gradcheck(function, (angles, states), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, (angles, states), check_fwd_over_rev=True)
