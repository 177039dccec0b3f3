"""Expectation values against dense observables, and their derivatives against finite differences."""

import pytest
import torch
from oracles import PAULI, embed

from qpatch import ansatz
from qpatch.engine import readout


def random_states(n_qubits: int, dtype=torch.complex128) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n_qubits)
    states = torch.randn(2, 3, 2**n_qubits, dtype=torch.complex128, generator=generator)
    return (states / states.norm(dim=-1, keepdim=True)).to(dtype)


CASES = [(2, 2), (2, 4), (4, 3), (4, 8), (6, 5), (8, 10), (8, 16)]


@pytest.mark.parametrize("read", [readout.expectation_values, readout.expectation_values_plainly])
@pytest.mark.parametrize(("n_qubits", "n_classes"), CASES)
def test_agrees_with_dense_observables(read, n_qubits, n_classes):
    states = random_states(n_qubits)
    dense = [embed({qubit: PAULI[axis]}, n_qubits) for axis, qubit in ansatz.readout(n_qubits, n_classes)]
    expected = torch.stack([torch.einsum("pbi,ij,pbj->pb", states.conj(), each, states).real for each in dense], -1)
    assert torch.allclose(read(states, n_classes), expected, rtol=0, atol=1e-14)


def test_single_precision_stays_single():
    states = random_states(8)
    values = readout.expectation_values(states.to(torch.complex64), 10)
    assert values.dtype == torch.float32
    # a sum of 256 products of numbers whose squares add up to one
    assert torch.allclose(values.double(), readout.expectation_values(states, 10), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n_qubits", "n_classes"), [(2, 4), (4, 3)])
def test_derivatives_agree_with_finite_differences(n_qubits, n_classes):
    states = random_states(n_qubits).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda psi: readout.expectation_values(psi, n_classes), states, check_forward_ad=True
    )
    assert torch.autograd.gradgradcheck(
        lambda psi: readout.expectation_values(psi, n_classes), states, check_fwd_over_rev=True
    )
