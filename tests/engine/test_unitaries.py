"""Products with a unitary shared by the images, against PyTorch's own and finite differences."""

import torch

from qpatch.engine.unitaries import apply_unitaries


def random_complex(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(len(shape) + shape[0])
    return torch.randn(*shape, dtype=torch.complex128, generator=generator).requires_grad_()


def test_is_the_matrix_on_every_state():
    unitaries, states = random_complex(2, 4, 4), random_complex(2, 3, 4)
    expected = torch.einsum("pij,pbj->pbi", unitaries, states)
    assert torch.allclose(apply_unitaries(unitaries, states), expected, rtol=0, atol=1e-14)


def test_derivatives_agree_with_finite_differences():
    factors = random_complex(1, 2, 2), random_complex(1, 3, 2)
    assert torch.autograd.gradcheck(apply_unitaries, factors, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(apply_unitaries, factors, check_fwd_over_rev=True)
