"""Pauli strings against dense matrices, in double precision: on entries of order 1, 1e-12 is room for rounding."""

import itertools

import pytest
import torch
from oracles import PAULI, embed, ring_matrix, rotation_matrix

from qpatch.engine import pauli

ATOL = 1e-12
CPU = torch.device("cpu")


def dense_strings(n_qubits: int) -> torch.Tensor:
    """All Pauli strings as matrices, the first qubit's letter changing slowest: ``(4^n, 2^n, 2^n)``."""
    words = itertools.product("ixyz", repeat=n_qubits)
    return torch.stack([embed({q: PAULI[letter] for q, letter in enumerate(word)}, n_qubits) for word in words])


def random_matrix(n_qubits: int, *lead: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(*lead, 2**n_qubits, 2**n_qubits, dtype=torch.complex128, generator=generator)


def random_hermitian(n_qubits: int) -> torch.Tensor:
    matrix = random_matrix(n_qubits)
    return matrix + matrix.mH


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_coefficients_are_traces(n_qubits):
    matrix = random_matrix(n_qubits, 2)
    expected = torch.einsum("sij,bji->bs", dense_strings(n_qubits), matrix)
    assert torch.allclose(pauli.to_strings(matrix, n_qubits), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_sum_of_strings(n_qubits):
    coefficients = torch.randn(2, 4**n_qubits, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.einsum("bs,sij->bij", coefficients.to(torch.complex128), dense_strings(n_qubits))
    assert torch.allclose(pauli.from_strings(coefficients, n_qubits), expected, rtol=0, atol=ATOL)


def test_to_strings_and_back_is_the_matrix_times_its_dimension():
    hermitian = random_hermitian(4)
    coefficients = pauli.to_strings(hermitian, 4)
    assert coefficients.imag.abs().max() < ATOL
    assert torch.allclose(pauli.from_strings(coefficients.real, 4), 16 * hermitian, rtol=0, atol=16 * ATOL)


@pytest.mark.parametrize("n_qubits", [2, 4, 6])
def test_ring_is_a_signed_permutation_of_the_strings(n_qubits):
    hermitian, ring = random_hermitian(n_qubits), ring_matrix(n_qubits)
    permutation, signs = pauli.ring_permutation(n_qubits, CPU)
    moved = pauli.to_strings(hermitian, n_qubits)[permutation] * signs
    assert torch.allclose(moved, pauli.to_strings(ring @ hermitian @ ring, n_qubits), rtol=0, atol=ATOL)


def test_ring_of_two_qubits_cancels():
    permutation, signs = pauli.ring_permutation(2, CPU)
    assert permutation.tolist() == list(range(16))
    assert signs.tolist() == [1] * 16


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("qubit", [0, 1, 2, 3])
def test_rotation_conjugates_one_qubit(axis, qubit):
    angle, hermitian = torch.tensor(0.7, dtype=torch.float64), random_hermitian(4)
    identity = torch.eye(4, dtype=torch.float64)
    matrices = [pauli.rotation(angle, axis) if q == qubit else identity for q in range(4)]
    moved = pauli.apply_to_qubits(pauli.to_strings(hermitian, 4).real[None], matrices)[0]
    gate = rotation_matrix(axis, qubit, angle, 4)
    expected = pauli.to_strings(gate.mH @ hermitian @ gate, 4).real
    assert torch.allclose(moved, expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("axis", ["x", "y"])
def test_quarter_turns_are_the_derivative_of_a_layer_of_rotations(axis):
    amounts = torch.tensor([[0.3, -1.2, 0.0, 2.0]], dtype=torch.float64)
    coefficients = pauli.to_strings(random_hermitian(4), 4).real[None]

    def rotated(step):
        return pauli.apply_to_qubits(coefficients, list(pauli.rotation(step * amounts, axis).unbind(1)))

    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    expected = torch.func.jvp(rotated, (zero,), (one,))[1]
    assert torch.allclose(pauli.quarter_turns(coefficients, amounts, axis), expected, rtol=0, atol=ATOL)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_strings_with_one_letter(axis):
    strings = dense_strings(3)
    for qubit, index in enumerate(pauli.single_strings(3, axis)):
        assert torch.equal(strings[index], embed({qubit: PAULI[axis]}, 3))


@pytest.mark.parametrize("n_qubits", [2, 4])
def test_matrices_apply_to_their_own_qubit(n_qubits):
    generator = torch.Generator().manual_seed(2)
    matrices = [torch.randn(2, 4, 4, dtype=torch.float64, generator=generator) for _ in range(n_qubits)]
    vector = torch.randn(2, 4**n_qubits, dtype=torch.float64, generator=generator)
    for member in range(2):
        full = torch.ones(1, 1, dtype=torch.float64)
        for matrix in matrices:
            full = torch.kron(full, matrix[member])
        moved = pauli.apply_to_qubits(vector, matrices)[member]
        assert torch.allclose(moved, full @ vector[member], rtol=0, atol=1e-11)  # entries of order 100


def test_kronecker_product_is_batched():
    generator = torch.Generator().manual_seed(4)
    left, right = (torch.randn(5, rows, 3, generator=generator) for rows in (2, 4))
    expected = torch.stack([torch.kron(a, b) for a, b in zip(left, right, strict=True)])
    assert torch.equal(pauli.kron(left, right), expected)
