"""Slow, plain, independent computations that the tests compare the package with, in double precision."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from qpatch import ansatz
from qpatch.config import RunConfig

PAULI = {
    "i": torch.eye(2, dtype=torch.complex128),
    "x": torch.tensor([[0, 1], [1, 0]], dtype=torch.complex128),
    "y": torch.tensor([[0, -1j], [1j, 0]], dtype=torch.complex128),
    "z": torch.tensor([[1, 0], [0, -1]], dtype=torch.complex128),
}
ONE = torch.diag(torch.tensor([0, 1], dtype=torch.complex128))  # |1><1|


# -- dense circuits -----------------------------------------------------------------------------------------------


def embed(factors: dict[int, torch.Tensor], n_qubits: int) -> torch.Tensor:
    """The dense 2^n x 2^n operator with these 2 x 2 factors and identities elsewhere."""
    full = torch.ones(1, 1, dtype=torch.complex128)
    for qubit in range(n_qubits):
        full = torch.kron(full, factors.get(qubit, PAULI["i"]))
    return full


def cz_matrix(pair: tuple[int, int], n_qubits: int) -> torch.Tensor:
    both = embed(dict.fromkeys(pair, ONE), n_qubits)
    return torch.eye(2**n_qubits, dtype=torch.complex128) - 2 * both


def ring_matrix(n_qubits: int) -> torch.Tensor:
    """The CZ gates on (i, i + 1 mod n) for all i."""
    full = torch.eye(2**n_qubits, dtype=torch.complex128)
    for qubit in range(n_qubits):
        full = cz_matrix((qubit, (qubit + 1) % n_qubits), n_qubits) @ full
    return full


def rotation_matrix(axis: str, qubit: int, angle: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """exp(-i angle P / 2) = cos(angle / 2) - i sin(angle / 2) P, since P^2 = 1."""
    identity = torch.eye(2**n_qubits, dtype=torch.complex128)
    return torch.cos(angle / 2) * identity - 1j * torch.sin(angle / 2) * embed({qubit: PAULI[axis]}, n_qubits)


def stretch_matrix(angles: torch.Tensor) -> torch.Tensor:
    """A stretch of entangling blocks, gate by gate: angles ``(depth, 2, n)`` to ``(2^n, 2^n)``."""
    depth, _, n_qubits = angles.shape
    full = torch.eye(2**n_qubits, dtype=torch.complex128)
    for block in range(depth):
        for layer, axis in enumerate("xy"):
            for qubit in range(n_qubits):
                full = rotation_matrix(axis, qubit, angles[block, layer, qubit], n_qubits) @ full
        full = ring_matrix(n_qubits) @ full
    return full


def expectations(angles: torch.Tensor, features: torch.Tensor, n_qubits: int, n_classes: int) -> torch.Tensor:
    """Expectation values of P QNNs on B images, gate by gate: ``(P, n_angles)``, ``(B, P, n^2)`` to ``(P, B, K)``."""
    depth = (angles.shape[1] - 2 * n_qubits**2) // (6 * n_qubits)
    states = torch.zeros(len(angles), len(features), 2**n_qubits, dtype=torch.complex128)
    states[..., 0] = 1
    for gate in ansatz.gates(n_qubits, depth):
        if gate.kind == "cz":
            states = states @ cz_matrix(gate.qubits, n_qubits).T
            continue
        angle = features[..., gate.feature].T if gate.angle is None else angles[:, gate.angle, None]  # (P, B or 1)
        generator = embed({gate.qubits[0]: PAULI[gate.kind[1]]}, n_qubits)
        half = angle[..., None] / 2
        states = torch.cos(half) * states - 1j * torch.sin(half) * (states @ generator.T)
    observables = [embed({qubit: PAULI[axis]}, n_qubits) for axis, qubit in ansatz.readout(n_qubits, n_classes)]
    return torch.stack([(states.conj() * (states @ each.T)).sum(-1).real for each in observables], dim=-1)


def cut_patches(image: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    """Patches of one image by slicing, row-major: ``(h, w)`` to ``(n_patches, size^2)``."""
    rows, columns = (range(0, side - size + 1, stride) for side in image.shape)
    return torch.stack([image[top : top + size, left : left + size].reshape(-1) for top in rows for left in columns])


def logits(angles: torch.Tensor, bias: torch.Tensor, images: torch.Tensor, config: RunConfig) -> torch.Tensor:
    features = torch.stack([cut_patches(image + bias, config.n_qubits, config.stride) for image in images])
    return config.scale * expectations(angles, features, config.n_qubits, config.n_classes).mean(0)


class FlatLoss:
    """The mean cross-entropy of the dense model as a function of all angles, then the bias, as one flat vector."""

    def __init__(self, config: RunConfig, images: torch.Tensor, labels: torch.Tensor):
        self.config, self.images, self.labels = config, images, labels

    def __call__(self, flat: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self.logits(flat), self.labels)

    def logits(self, flat: torch.Tensor) -> torch.Tensor:
        angles, bias = flat.split([self.config.n_angles, self.config.image_size**2])
        angles = angles.reshape(self.config.n_patches, -1)
        bias = bias.reshape(self.config.image_size, self.config.image_size)
        return logits(angles, bias, self.images, self.config)


# -- derivatives --------------------------------------------------------------------------------------------------


def gradient(loss, point: torch.Tensor) -> torch.Tensor:
    point = point.detach().requires_grad_()
    return torch.autograd.grad(loss(point), point)[0]


def hessian_products(loss, point: torch.Tensor, vectors: torch.Tensor, batched: bool = True) -> torch.Tensor:
    """H v for each row v of ``vectors``, by double backward; ``batched``, which plain PyTorch allows, is faster."""
    point = point.detach().requires_grad_()
    (first,) = torch.autograd.grad(loss(point), point, create_graph=True)
    if batched:
        return torch.autograd.grad(first, point, vectors, is_grads_batched=True)[0]
    return torch.stack([torch.autograd.grad(first, point, vector, retain_graph=True)[0] for vector in vectors])


def relative_error(value: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest deviation, relative to the largest entry."""
    return ((value - expected).abs().max() / expected.abs().max()).item()


# -- the author's model -------------------------------------------------------------------------------------------

GOLDEN_FILES = sorted(Path(__file__).with_name("golden").glob("*.npz"))
