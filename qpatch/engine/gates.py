"""The gates of an entangling block: rotations as 2 x 2 matrices, the CZ ring as signs."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch

from qpatch import ansatz


def constant(function: Callable) -> Callable:
    """A function whose results are kept for later calls of any kind: backward passes, function transforms.

    So they are computed in a thread of its own, which knows nothing of the caller's inference mode and transforms.
    """

    @functools.cache
    def computed(*arguments):
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *arguments).result()

    return computed


def qubit_bits(n_qubits: int) -> torch.Tensor:
    """The bit of every qubit in every index of a statevector, qubit 0 the leftmost: ``(2^n, n)`` int64."""
    return torch.arange(2**n_qubits)[:, None] >> torch.arange(n_qubits - 1, -1, -1) & 1


@constant
def ring_signs(n_qubits: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Diagonal of the CZ ring: ``(2^n,)`` of +-1."""
    bits = qubit_bits(n_qubits)
    pairs = sum(bits[:, left] * bits[:, right] for left, right in ansatz.ring(n_qubits))
    return (1 - 2 * (pairs % 2)).to(device=device, dtype=dtype)


def rotation_gates(angles: torch.Tensor, axis: str) -> torch.Tensor:
    """RX or RY, exp(-i angle P / 2): ``(...)`` radians to ``(..., 2, 2)`` complex."""
    cos, sin = torch.cos(angles / 2), torch.sin(angles / 2)
    if axis == "x":
        entries = torch.complex(cos, torch.zeros_like(cos)), torch.complex(torch.zeros_like(sin), -sin)
        entries = entries[0], entries[1], entries[1], entries[0]
    else:
        entries = [torch.complex(part, torch.zeros_like(part)) for part in (cos, -sin, sin, cos)]
    return torch.stack(list(entries), dim=-1).reshape(*angles.shape, 2, 2)
