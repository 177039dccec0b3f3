"""Stretches of entangling blocks against dense gates; first and second derivatives against finite differences."""

import pytest
import torch
from oracles import ring_matrix, rotation_matrix, stretch_matrix

from qpatch.engine import blocks
from qpatch.engine.gates import ring_signs, rotation_gates

ATOL = 1e-12  # double precision, unitaries of some tens of gates
CPU = torch.device("cpu")


def random_angles(batch: int, depth: int, n_qubits: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(depth)
    return torch.rand(batch, depth, 2, n_qubits, dtype=torch.float64, generator=generator) * 2 * torch.pi


@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 1), (2, 3), (3, 2), (4, 1), (4, 3), (5, 2), (6, 2)])
def test_unitaries_are_those_of_the_dense_gates(n_qubits, depth):
    angles = random_angles(2, depth, n_qubits)
    expected = torch.stack([stretch_matrix(member) for member in angles])
    assert torch.allclose(blocks.stretch_unitaries(angles), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("n_qubits", [2, 3, 4, 5, 6])
def test_states_are_the_unitaries_first_column(n_qubits):
    angles = random_angles(2, 3, n_qubits)
    expected = torch.stack([stretch_matrix(member)[:, 0] for member in angles])
    assert torch.allclose(blocks.stretch_states(angles), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("n_qubits", [2, 4, 6])
def test_ring_signs_are_the_rings_diagonal(n_qubits):
    signs = ring_signs(n_qubits, torch.float64, CPU)
    assert torch.equal(torch.diag(signs).to(torch.complex128), ring_matrix(n_qubits))


@pytest.mark.parametrize("axis", ["x", "y"])
def test_rotation_gates(axis):
    angles = torch.tensor([[0.0, 0.3], [torch.pi, -2.0]], dtype=torch.float64)
    gates = rotation_gates(angles, axis)
    for index in ((0, 0), (0, 1), (1, 0), (1, 1)):
        expected = rotation_matrix(axis, 0, angles[index], 1)
        assert torch.allclose(gates[index], expected, rtol=0, atol=ATOL)


def test_derivatives_of_unitaries_agree_with_finite_differences():
    angles = random_angles(2, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: blocks.stretch_unitaries(a), angles, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(lambda a: blocks.stretch_unitaries(a), angles, check_fwd_over_rev=True)


def test_derivatives_of_states_agree_with_finite_differences():
    angles = random_angles(1, 1, 4).requires_grad_()
    assert torch.autograd.gradcheck(blocks.stretch_states, angles, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(blocks.stretch_states, angles, check_fwd_over_rev=True)


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_hessian_of_a_random_function_is_that_of_the_dense_gates(n_qubits):
    """A quadratic function of the entries, so that the cotangent depends on the angles as well."""
    angles = random_angles(1, 2, n_qubits)
    generator = torch.Generator().manual_seed(9)
    weights = torch.randn(2**n_qubits, 2**n_qubits, dtype=torch.complex128, generator=generator)

    def loss(unitary):
        return (weights * unitary).sum().real + (weights * unitary.abs() ** 2).sum().imag

    fast = torch.autograd.functional.hessian(lambda a: loss(blocks.stretch_unitaries(a)[0]), angles)
    dense = torch.autograd.functional.hessian(lambda a: loss(stretch_matrix(a[0])), angles)
    assert torch.allclose(fast, dense, rtol=0, atol=1e-10)


def kept_for_backward(depth: int) -> int:
    """Bytes that autograd keeps of the build of a stretch, its angles apart."""
    angles, sizes = random_angles(1, depth, 4).requires_grad_(), []

    def pack(tensor):
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        blocks.stretch_unitaries(angles)
    return sum(sizes) - angles.nbytes


def test_memory_of_the_gradient_does_not_grow_with_depth():
    assert kept_for_backward(3) == kept_for_backward(30) > 0


def test_single_precision_is_close_to_double():
    """Gates are built in double and rounded once; each product then rounds entries by some 6e-8: 40 blocks, 3e-6."""
    angles = random_angles(2, 40, 6)
    single = blocks.stretch_unitaries(angles.float())
    assert single.dtype == torch.complex64
    exact = blocks.stretch_unitaries(angles.float().double())
    assert (single - exact).abs().max() < 3e-6
