"""The compiled sweeps against the plain ones, which test_blocks and test_pauli compare with dense gates."""

import pytest
import torch

from qpatch.engine import blocks, pauli, pauli_kernels, plain_sweeps
from qpatch.engine.compiled import for_each
from qpatch.engine.gates import ring_signs
from qpatch.engine.stretch_kernels import state_gradient, sweep_states


def random_problem(n_qubits: int, depth: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(n_qubits)
    angles = torch.rand(3, depth, 2, n_qubits, dtype=torch.float64, generator=generator) * 2 * torch.pi
    coefficients = torch.randn(3, 4**n_qubits, dtype=torch.float64, generator=generator)
    return angles.to(dtype), coefficients.to(dtype)


CASES = [(2, 3), (4, 1), (4, 20), (6, 3), (8, 2)]  # qubits, depth


def unlike(value: torch.Tensor, plain: torch.Tensor) -> float:
    """The largest difference, in units of the dtype's rounding of the largest entry."""
    return ((value - plain).abs().max() / (torch.finfo(value.dtype).eps * plain.abs().max())).item()


# Rounding errors of some ten products a block, at random: depth 20 stays below 100 units of the dtype's last place.
# Angles are rounded to the dtype before their cosines are taken: the same input for both.
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("n_qubits", "depth"), CASES)
def test_pauli_sweeps_agree_with_plain_pytorch(n_qubits, depth, dtype):
    angles, coefficients = random_problem(n_qubits, depth, dtype)
    direction, along = random_problem(n_qubits, depth, dtype)[0] - 3, coefficients.flip(1)
    exact = [tensor.double() for tensor in (angles, direction, coefficients, along)]
    pairs = {
        "down": (
            pauli_kernels.sweep_down(angles, coefficients),
            plain_sweeps.sweep_down(exact[0], exact[2]),
        ),
        "tangent of down": (
            pauli_kernels.sweep_down_tangent(angles, direction, coefficients, along),
            plain_sweeps.sweep_down_tangent(*exact),
        ),
        "up": (
            pauli_kernels.sweep_up(angles, direction),
            plain_sweeps.sweep_up(*exact[:2]),
        ),
    }
    assert {name: value.dtype for name, (value, _) in pairs.items()} == dict.fromkeys(pairs, dtype)
    assert {name: unlike(*pair) for name, pair in pairs.items() if unlike(*pair) > 100} == {}


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("n_qubits", [2, 4, 6])
def test_strings_of_a_generator_agree_with_plain_pytorch(n_qubits, dtype):
    """Each is a sum of 2^n entries, whose rounding stays far below that of 100 of the largest."""
    generator = torch.Generator().manual_seed(n_qubits)
    matrices = torch.randn(3, 2**n_qubits, 2**n_qubits, dtype=dtype, generator=generator)
    plain = pauli.to_strings(matrices.to(torch.complex128), n_qubits).imag
    assert unlike(pauli_kernels.generator_strings(matrices), plain) < 100


@pytest.mark.parametrize(("n_qubits", "depth"), CASES)
def test_gradient_of_a_state_agrees_with_that_through_pauli_strings(n_qubits, depth):
    angles, _ = random_problem(n_qubits, depth, torch.float64)
    ground = torch.eye(2**n_qubits, dtype=torch.complex128)[:, :1]
    states = plain_sweeps.sweep_states(angles, ground)
    cotangents = torch.randn(states.shape, dtype=states.dtype, generator=torch.Generator().manual_seed(depth))
    halves = torch.stack([torch.cos(angles / 2), torch.sin(angles / 2)], dim=-1)
    signs = ring_signs(n_qubits, torch.float64, angles.device)
    fast = state_gradient(halves, states[..., 0], cotangents[..., 0], signs)
    hermitian = pauli.to_strings(states @ cotangents.mH, n_qubits).imag
    assert unlike(fast, plain_sweeps.sweep_down(angles, hermitian)) < 100


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize(("n_qubits", "depth"), CASES)
@pytest.mark.parametrize("columns", ["identity", "ground state"])
def test_state_sweep_agrees_with_plain_pytorch(n_qubits, depth, dtype, columns):
    angles, _ = random_problem(n_qubits, depth, torch.float64)
    start = torch.eye(2**n_qubits, dtype=torch.complex128)[:, : None if columns == "identity" else 1]
    signs = ring_signs(n_qubits, torch.float64, angles.device)
    compiled = sweep_states(*blocks.euler_form(angles), signs, start.to(dtype))
    plain = plain_sweeps.sweep_states(angles, start)
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
