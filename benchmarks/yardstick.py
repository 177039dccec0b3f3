"""What a step and an evaluation cannot do without, timed through PyTorch: the yardstick of the engine.

Per QNN a step needs at least six complex products of 2^n x 2^n by 2^n x B, two forward and four backward. The plain
adjoint also sweeps eight times over the d blocks of a stretch (two unitaries, once forward and three times backward):
a sweep applies to 2^n columns the two Kronecker products that make a block. ``yardstick = 6 products + 8 d sweeps``.
An evaluation needs two products an image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

STEP_PRODUCTS, EVALUATION_PRODUCTS = 6, 2
SWEEPS_A_BLOCK = 8


def step_products(n_qnns: int, n_qubits: int, batch: int, device: torch.device) -> Callable[[], object]:
    """The products of a step for all QNNs."""
    return _products(n_qnns, n_qubits, batch, STEP_PRODUCTS, device)


def evaluation_products(
    n_qnns: int, n_qubits: int, images: int, chunk: int, device: torch.device
) -> Callable[[], object]:
    """The products of an evaluation for all QNNs, in chunks of images."""
    whole, rest = divmod(images, chunk)
    full = _products(n_qnns, n_qubits, chunk, EVALUATION_PRODUCTS * whole, device)
    last = _products(n_qnns, n_qubits, rest, EVALUATION_PRODUCTS if rest else 0, device)
    return lambda: (full(), last())


def block_sweeps(n_qnns: int, n_qubits: int, depth: int, device: torch.device) -> Callable[[], object]:
    """One sweep over the d blocks of a stretch for all QNNs; the yardstick takes `SWEEPS_A_BLOCK` times its time."""
    half = 2 ** (n_qubits // 2)
    left, right = (_random(depth, n_qnns, half, half, device=device) / half**0.5 for _ in range(2))
    start = _random(n_qnns, half, half, 2**n_qubits, device=device)
    return lambda: sweep_blocks(left, right, start)


def sweep_blocks(left: torch.Tensor, right: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """The Kronecker products of ``left`` and ``right``, ``(d, P, h, h)``, one block after the other, times states.

    States have the shape ``(P, h, h, columns)``.
    """
    n_qnns, half, _, columns = state.shape
    for block in range(len(left)):
        state = (left[block] @ state.reshape(n_qnns, half, half * columns)).reshape(n_qnns, half, half, columns)
        state = right[block, :, None] @ state
    return state


def product_multiplications(n_qubits: int, batch: int) -> int:
    """Real multiply-adds of one complex product of 2^n x 2^n by 2^n x B."""
    return 4 * 4**n_qubits * batch


def _products(n_qnns, n_qubits, batch, count, device):
    matrices = _random(n_qnns, 2**n_qubits, 2**n_qubits, device=device)
    states = _random(n_qnns, 2**n_qubits, batch, device=device)
    result = torch.empty_like(states)

    def multiply():
        for _ in range(count):
            torch.matmul(matrices, states, out=result)
        return result

    return multiply


def _random(*shape, device):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, dtype=torch.complex64, generator=generator).to(device)
