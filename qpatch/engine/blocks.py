"""Stretches of entangling blocks as matrices, with gradients by the adjoint method in the Pauli basis.

A stretch does not depend on the data, so its unitary W is built once a step and shared by every image. Autograd would
keep every intermediate of the build; here the gradient needs W and the cotangent G only, so memory does not grow with
depth. With ``H = (W G^dagger - G W^dagger) / 2i``, the derivative by the angle of a gate exp(-i theta P / 2) is
``tr(P H) / 2`` once H has passed the later gates, ``H <- U^dagger H U``. Twice differentiable, and once in forward
mode: along a direction u of the angles the tangent of W is ``-i/2 A W``, A being gathered the other way through the
same layers.
"""

import torch

from qpatch.engine import compiled, pauli, pauli_kernels, plain_sweeps
from qpatch.engine.derivatives import differentiable, last_derivative
from qpatch.engine.gates import ring_signs, rotation_gates
from qpatch.engine.kept import kept
from qpatch.engine.stretch_kernels import state_gradient, sweep_states


def stretch_unitaries(angles: torch.Tensor) -> torch.Tensor:
    """Unitaries of stretches: angles ``(batch, depth, 2, n)`` in radians to ``(batch, 2^n, 2^n)`` complex.

    Every block ends with its CZ ring. Twice differentiable.
    """
    return _stretch(angles, torch.eye(2 ** angles.shape[-1], dtype=angles.dtype.to_complex(), device=angles.device))


def stretch_states(angles: torch.Tensor) -> torch.Tensor:
    """Statevectors after a stretch that begins in |0...0>: ``(batch, 2^n)`` complex."""
    # One column costs next to nothing, so it is swept in double precision whatever the dtype of the rest.
    ground = torch.zeros(2 ** angles.shape[-1], 1, dtype=torch.complex128, device=angles.device)
    ground[0] = 1
    return _stretch(angles, ground).squeeze(-1)


def _product(angles, start):
    """W S for the fixed start S, ``(2^n, columns)``, the identity or |0...0>: compiled on a CPU."""
    # The few gates are built in double precision: their rounding, not the products', would dominate the error.
    exact = angles.double()
    if compiled.takes(angles):
        states = sweep_states(*euler_form(exact), ring_signs(angles.shape[-1], torch.float64, angles.device), start)
    else:
        states = plain_sweeps.sweep_states(exact, start)
    return states.to(angles.dtype.to_complex())


def _second(angles, product, cotangent, direction):
    """The gradient of the gradient along a direction, by the angles and by the cotangent."""
    n_qubits = angles.shape[-1]
    tangent = _tangent(angles, product, direction)
    generators = _generator(product, cotangent, n_qubits), _generator(tangent, cotangent, n_qubits)
    return _sweeps(angles).sweep_down_tangent(angles, direction, *generators), None, tangent


def _tangent(angles, product, direction, _=None):
    """Derivative of ``product`` along a direction of the angles, -i/2 A W S."""
    return -0.5j * (pauli.from_strings(_sweeps(angles).sweep_up(angles, direction), angles.shape[-1]) @ product)


def _generator(product: torch.Tensor, cotangent: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Pauli coefficients of H = (W G^dagger - G W^dagger) / 2i: the imaginary part of those of W G^dagger."""
    matrices = product @ cotangent.mH
    if compiled.takes(matrices):
        return pauli_kernels.generator_strings(matrices)
    return pauli.to_strings(matrices, n_qubits).imag.contiguous()


def _gradient(angles, product, cotangent):
    if compiled.takes(angles) and product.shape[-1] == 1:
        return _state_gradient(angles, product, cotangent)
    return _sweeps(angles).sweep_down(angles, _generator(product, cotangent, angles.shape[-1]))


def _state_gradient(angles, state, cotangent):
    """The gradient where the product is a single state: gates are un-applied, in double precision."""
    halves = angles.double() / 2
    circle = torch.stack([torch.cos(halves), torch.sin(halves)], dim=-1)
    signs = ring_signs(angles.shape[-1], torch.float64, angles.device)
    exact = (tensor.squeeze(-1).to(torch.complex128) for tensor in (state, cotangent))
    return state_gradient(circle, *exact, signs).to(angles.dtype)


def _gradient_tangent(angles, product, cotangent, direction, product_dot, cotangent_dot):
    hermitian = kept(_generator, product, cotangent, angles.shape[-1])
    pairs = torch.cat([product_dot, product], dim=-1), torch.cat([cotangent, cotangent_dot], dim=-1)
    return _sweeps(angles).sweep_down_tangent(angles, direction, hermitian, _generator(*pairs, angles.shape[-1]))


_stretch = differentiable(
    _product,
    _tangent,
    differentiable(_gradient, _gradient_tangent, last_derivative(_second)),
    save=lambda angles, start, product: (angles, product),
)


def euler_form(angles):
    """The blocks as layers of real rotations between diagonals, for `sweep_states`: a third of the arithmetic.

    A qubit's RY RX is RZ(a) RY(b) RZ(c); the RZ of all qubits, of neighbouring blocks and the ring make one diagonal.
    Gives cosines and sines of b / 2, none negative, ``(batch, depth, n, 2)``, and ``(batch, depth + 1, n)`` complex,
    ``exp(i phi / 2)`` of the RZ(phi) before each layer of rotations and after all.
    """
    gates = rotation_gates(angles[:, :, 1], "y") @ rotation_gates(angles[:, :, 0], "x")  # (batch, depth, n, 2, 2)
    diagonal, lower = gates[..., 0, 0], gates[..., 1, 0]
    rotations = torch.stack([diagonal.abs(), lower.abs()], dim=-1)
    after = lower.angle() - diagonal.angle()  # phases of |1> relative to |0>: RZ(a) and RZ(c) up to a common phase
    before = -diagonal.angle() - lower.angle()
    none = torch.zeros_like(after[:, :1])
    phases = torch.cat([none, after], dim=1) + torch.cat([before, none], dim=1)
    return rotations, torch.polar(torch.ones_like(phases), phases / 2)


def _sweeps(angles):
    """The Pauli sweeps for these angles: compiled on a CPU, plain PyTorch elsewhere."""
    return pauli_kernels if compiled.takes(angles) else plain_sweeps
