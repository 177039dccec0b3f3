"""Slow, plain, independent computations that the tests compare the package with."""

from __future__ import annotations

import torch

from qpatch import ansatz

PAULI = {
    "i": torch.eye(2, dtype=torch.complex128),
    "x": torch.tensor([[0, 1], [1, 0]], dtype=torch.complex128),
    "y": torch.tensor([[0, -1j], [1j, 0]], dtype=torch.complex128),
    "z": torch.tensor([[1, 0], [0, -1]], dtype=torch.complex128),
}


def embed(factors: dict[int, torch.Tensor], n_qubits: int) -> torch.Tensor:
    """The dense 2^n x 2^n operator with these 2 x 2 factors and identities elsewhere."""
    full = torch.ones(1, 1, dtype=torch.complex128)
    for qubit in range(n_qubits):
        full = torch.kron(full, factors.get(qubit, PAULI["i"]))
    return full


def gate_matrix(gate: ansatz.Gate, angles: torch.Tensor, features: torch.Tensor | None, n_qubits: int) -> torch.Tensor:
    """One gate as a dense matrix; a rotation about P is cos(angle / 2) - i sin(angle / 2) P, since P^2 = 1."""
    if gate.kind == "cz":
        one = torch.diag(torch.tensor([0, 1], dtype=torch.complex128))
        both = embed({gate.qubits[0]: one, gate.qubits[1]: one}, n_qubits)
        return torch.eye(2**n_qubits, dtype=torch.complex128) - 2 * both
    angle = angles[gate.angle] if gate.angle is not None else features[gate.feature]
    generator = embed({gate.qubits[0]: PAULI[gate.kind[1]]}, n_qubits)
    return torch.cos(angle / 2) * torch.eye(2**n_qubits, dtype=torch.complex128) - 1j * torch.sin(angle / 2) * generator


def expectations(angles: torch.Tensor, features: torch.Tensor, n_qubits: int, n_classes: int) -> torch.Tensor:
    """Expectation values of one QNN on one patch, gate by gate with dense matrices: ``(n_classes,)`` float64."""
    depth = (len(angles) - 2 * n_qubits**2) // (6 * n_qubits)
    state = torch.zeros(2**n_qubits, dtype=torch.complex128)
    state[0] = 1
    for gate in ansatz.gates(n_qubits, depth):
        state = gate_matrix(gate, angles, features, n_qubits) @ state
    observables = [embed({qubit: PAULI[axis]}, n_qubits) for axis, qubit in ansatz.readout(n_qubits, n_classes)]
    return torch.stack([torch.vdot(state, observable @ state).real for observable in observables])
