"""Sweeps through the blocks of stretches in plain PyTorch, on any device: the oracle of the compiled ones."""

import functools

import torch

from qpatch.engine import pauli
from qpatch.engine.gates import ring_signs, rotation_gates
from qpatch.engine.pauli import kron


def sweep_states(angles, start):
    """Apply the blocks to every column of ``start``, each as two Kronecker products of half the qubits."""
    batch, depth, _, n_qubits = angles.shape
    gates = rotation_gates(angles[:, :, 1], "y") @ rotation_gates(angles[:, :, 0], "x")  # (batch, depth, n, 2, 2)
    left = functools.reduce(kron, gates[:, :, : n_qubits // 2].unbind(2)).to(start.dtype)
    right = functools.reduce(kron, gates[:, :, n_qubits // 2 :].unbind(2)).to(start.dtype)
    half, columns = left.shape[-1], start.shape[-1]
    signs = ring_signs(n_qubits, start.real.dtype, angles.device).reshape(half, half, 1)
    state = start.expand(batch, -1, -1)
    for block in range(depth):
        state = left[:, block] @ state.reshape(batch, half, half * columns)
        state = right[:, block, None] @ state.reshape(batch, half, half, columns)
        state = state * signs
    return state.reshape(batch, half * half, columns)


def _rotations(angles):
    """Both layers of every block as one 4 x 4 matrix a qubit on Pauli coefficients: ``(batch, depth, n, 4, 4)``."""
    return pauli.rotation(angles[:, :, 0], "x") @ pauli.rotation(angles[:, :, 1], "y")


def _strings(angles):
    """How the ring permutes the Pauli strings, with which signs, and where those of a single X and Y stand."""
    n_qubits = angles.shape[3]
    permutation, signs = pauli.ring_permutation(n_qubits, angles.device)
    return permutation, signs, pauli.single_strings(n_qubits, "x"), pauli.single_strings(n_qubits, "y")


def sweep_down(angles, coefficients):
    """Gradient of every angle from H's coefficients ``(batch, 4^n)``: ``(batch, depth, 2, n)``."""
    permutation, signs, x_strings, y_strings = _strings(angles)
    rotations, gradient = _rotations(angles), []
    for block in reversed(range(angles.shape[1])):
        coefficients = coefficients[:, permutation] * signs
        by_y = coefficients[:, y_strings]
        coefficients = pauli.apply_to_qubits(coefficients, list(rotations[:, block].unbind(1)))
        gradient.append(torch.stack([coefficients[:, x_strings], by_y], dim=1))
    return torch.stack(gradient[::-1], dim=1) / 2


def sweep_up(angles, direction):
    """Its transpose: A with tangent(W) = -i/2 A W, as coefficients of ``sum_s a_s P_s``, ``(batch, 4^n)``."""
    permutation, signs, x_strings, y_strings = _strings(angles)
    rotations = _rotations(angles).mT
    accumulated = angles.new_zeros(angles.shape[0], len(permutation))
    for block in range(angles.shape[1]):
        accumulated[:, x_strings] += direction[:, block, 0]
        accumulated = pauli.apply_to_qubits(accumulated, list(rotations[:, block].unbind(1)))
        accumulated[:, y_strings] += direction[:, block, 1]
        accumulated = accumulated[:, permutation] * signs
    return accumulated


def sweep_down_tangent(angles, direction, coefficients, coefficients_dot):
    """Derivative of `sweep_down`; that of a rotation by its angle is a further quarter turn."""
    permutation, signs, x_strings, y_strings = _strings(angles)
    gradient = torch.empty_like(angles)
    for block in reversed(range(angles.shape[1])):
        coefficients, coefficients_dot = (each[:, permutation] * signs for each in (coefficients, coefficients_dot))
        gradient[:, block, 1] = coefficients_dot[:, y_strings]
        for layer, axis in ((1, "y"), (0, "x")):
            rotations = list(pauli.rotation(angles[:, block, layer], axis).unbind(1))
            coefficients = pauli.apply_to_qubits(coefficients, rotations)
            coefficients_dot = pauli.apply_to_qubits(coefficients_dot, rotations)
            coefficients_dot += pauli.quarter_turns(coefficients, direction[:, block, layer], axis)
        gradient[:, block, 0] = coefficients_dot[:, x_strings]
    return gradient / 2
