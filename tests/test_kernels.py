"""The compiled sweeps against the plain ones, which test_blocks and test_pauli compare with dense gates."""

import pytest
import torch

from qpatch import blocks, kernels, pauli
from qpatch.compiled import for_each

CPU = torch.device("cpu")


def random_problem(n_qubits: int, depth: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(n_qubits)
    angles = torch.rand(3, depth, 2, n_qubits, dtype=torch.float64, generator=generator) * 2 * torch.pi
    coefficients = torch.randn(3, 4**n_qubits, dtype=torch.float64, generator=generator)
    return angles.to(dtype), coefficients.to(dtype)


# Rounding errors of some ten products a block, at random: depth 20 stays below 100 units of the dtype's last place.
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("final_ring", [True, False])
@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 3), (4, 1), (4, 20), (6, 3), (8, 2)])
def test_gradient_sweep_agrees_with_plain_pytorch(n_qubits, depth, final_ring, dtype):
    angles, coefficients = random_problem(n_qubits, depth, dtype)
    circle = torch.stack([torch.cos(angles), torch.sin(angles)], dim=-1)
    compiled = kernels.sweep_down(circle, coefficients, *pauli.ring_permutation(n_qubits, CPU), final_ring)
    plain = blocks.sweep_down_plainly(angles.double(), coefficients.double(), final_ring)
    assert compiled.dtype == dtype
    # the angles were rounded to the dtype before their cosines were taken: the same input for both
    assert (compiled - plain).abs().max() < 100 * torch.finfo(dtype).eps * plain.abs().max()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("final_ring", [True, False])
@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 3), (4, 1), (4, 20), (6, 3), (8, 2)])
@pytest.mark.parametrize("columns", ["identity", "ground state"])
def test_state_sweep_agrees_with_plain_pytorch(n_qubits, depth, final_ring, dtype, columns):
    angles, _ = random_problem(n_qubits, depth, torch.float64)
    start = torch.eye(2**n_qubits, dtype=torch.complex128)[:, : None if columns == "identity" else 1]
    rotations, diagonals = blocks.euler_form(angles, final_ring)
    compiled = kernels.sweep_states(rotations.to(dtype.to_real()), diagonals.to(dtype), start.to(dtype))
    plain = blocks.sweep_states_plainly(angles, start, final_ring)
    assert compiled.dtype == dtype
    assert (compiled - plain).abs().max() < 100 * torch.finfo(dtype).eps


def test_result_does_not_depend_on_the_number_of_threads():
    angles, _ = random_problem(6, 5, torch.float32)
    one = blocks.stretch_unitaries(angles)
    torch.set_num_threads(3)
    assert torch.equal(blocks.stretch_unitaries(angles), one)


def test_every_task_is_run_and_an_error_in_one_is_raised():
    torch.set_num_threads(2)
    done = []
    for_each(5, done.append)
    assert sorted(done) == list(range(5))
    with pytest.raises(ZeroDivisionError):
        for_each(5, lambda index: 1 / (index - 3))
