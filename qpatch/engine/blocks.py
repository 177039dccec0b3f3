"""Stretches of entangling blocks as matrices, with gradients by the adjoint method in the Pauli basis.

A stretch does not depend on the data, so its unitary W is built once a step and shared by every image. Autograd would
keep every intermediate of the build; here the gradient needs W and the cotangent G only, so memory does not grow with
depth. With ``H = (W G^dagger - G W^dagger) / 2i``, the derivative by the angle of a gate exp(-i theta P / 2) is
``tr(P H) / 2`` once H has passed the later gates, ``H <- U^dagger H U``. Twice differentiable, and once in forward
mode: along a direction u of the angles the tangent of W is ``-i/2 A W``, A being gathered the other way through the
same layers.
"""

from __future__ import annotations

import functools

import torch

from qpatch import ansatz
from qpatch.engine import compiled, pauli, pauli_kernels
from qpatch.engine.kept import kept
from qpatch.engine.pauli import kron
from qpatch.engine.stretch_kernels import state_gradient, sweep_states


def stretch_unitaries(angles: torch.Tensor) -> torch.Tensor:
    """Unitaries of stretches: angles ``(batch, depth, 2, n)`` in radians to ``(batch, 2^n, 2^n)`` complex.

    Every block ends with its CZ ring. Twice differentiable.
    """
    dim = 2 ** angles.shape[-1]
    identity = torch.eye(dim, dtype=angles.dtype.to_complex(), device=angles.device)
    return _Stretch.apply(angles, identity)


def stretch_states(angles: torch.Tensor) -> torch.Tensor:
    """Statevectors after a stretch that begins in |0...0>: ``(batch, 2^n)`` complex."""
    # One column costs next to nothing, so it is swept in double precision whatever the dtype of the rest.
    ground = torch.zeros(2 ** angles.shape[-1], 1, dtype=torch.complex128, device=angles.device)
    ground[0] = 1
    return _Stretch.apply(angles, ground).squeeze(-1)


@functools.cache
def ring_signs(n_qubits: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Diagonal of the CZ ring: ``(2^n,)`` of +-1."""
    bits = torch.arange(2**n_qubits)[:, None] >> torch.arange(n_qubits - 1, -1, -1) & 1
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


class _Stretch(torch.autograd.Function):
    """W S for the fixed start S, ``(2^n, columns)``: the identity or |0...0>."""

    @staticmethod
    def forward(ctx, angles, start):
        product = kept(_sweep_states, angles, start).to(angles.dtype.to_complex())
        ctx.save_for_backward(angles, product)
        ctx.save_for_forward(angles, product)
        return product

    @staticmethod
    def jvp(ctx, direction, _):
        return _tangent(*ctx.saved_tensors, direction)

    @staticmethod
    def backward(ctx, cotangent):
        angles, product = ctx.saved_tensors
        return _StretchGradient.apply(angles, product, cotangent), None


class _StretchGradient(torch.autograd.Function):
    """The gradient by the angles, as a function of the angles and of the cotangent of W S."""

    @staticmethod
    def forward(ctx, angles, product, cotangent):
        ctx.save_for_backward(angles, product, cotangent)
        ctx.save_for_forward(angles, product, cotangent)
        return kept(_gradient, angles, product, cotangent)

    @staticmethod
    def jvp(ctx, direction, product_dot, cotangent_dot):
        angles, product, cotangent = ctx.saved_tensors
        hermitian = kept(_generator, product, cotangent, angles.shape[-1])
        pairs = torch.cat([product_dot, product], dim=-1), torch.cat([cotangent, cotangent_dot], dim=-1)
        hermitian_dot = _generator(*pairs, angles.shape[-1])
        return _sweep_down_tangent(angles, direction, hermitian, hermitian_dot)

    @staticmethod
    def backward(ctx, direction):
        by_angles, tangent = _StretchSecond.apply(*ctx.saved_tensors, direction)
        return by_angles, None, tangent


class _StretchSecond(torch.autograd.Function):
    """The derivative of the gradient along a direction; not differentiable once more.

    PyTorch's own `once_differentiable` raises only where the path to a leaf passes through it, and gives
    `torch.autograd.functional.hvp` silent zeros.
    """

    @staticmethod
    def forward(ctx, angles, product, cotangent, direction):
        n_qubits = angles.shape[-1]
        tangent = _tangent(angles, product, direction)
        hermitian = _generator(product, cotangent, n_qubits)
        hermitian_dot = _generator(tangent, cotangent, n_qubits)
        return _sweep_down_tangent(angles, direction, hermitian, hermitian_dot), tangent

    @staticmethod
    def backward(ctx, *cotangents):
        raise RuntimeError(
            "the circuit can be differentiated twice, not a third time; for Hessian-vector products use double"
            " backward (qpatch.hessian.hessian_vector_product), not torch.autograd.functional.hvp"
        )


def _tangent(angles, product, direction):
    """Derivative of ``product`` along a direction of the angles, -i/2 A W S."""
    return -0.5j * (pauli.from_strings(_sweep_up(angles, direction), angles.shape[-1]) @ product)


def _generator(product: torch.Tensor, cotangent: torch.Tensor, n_qubits: int) -> torch.Tensor:
    """Pauli coefficients of H = (W G^dagger - G W^dagger) / 2i: the imaginary part of those of W G^dagger."""
    return pauli.to_strings(product @ cotangent.mH, n_qubits).imag.contiguous()


def _gradient(angles, product, cotangent):
    if compiled.takes(angles) and product.shape[-1] == 1:
        return _state_gradient(angles, product, cotangent)
    return _sweep_down(angles, _generator(product, cotangent, angles.shape[-1]))


def _state_gradient(angles, state, cotangent):
    """The gradient where the product is a single state: gates are un-applied, in double precision."""
    halves = angles.double() / 2
    circle = torch.stack([torch.cos(halves), torch.sin(halves)], dim=-1)
    signs = ring_signs(angles.shape[-1], torch.float64, angles.device)
    exact = (tensor.squeeze(-1).to(torch.complex128) for tensor in (state, cotangent))
    return state_gradient(circle, *exact, signs).to(angles.dtype)


def _sweep_states(angles, start):
    """Apply the blocks to every column of ``start``: compiled on a CPU, plain PyTorch elsewhere."""
    # The few gates are built in double precision: their rounding, not the products', would dominate the error.
    exact = angles.double()
    if compiled.takes(angles):
        rotations, diagonals = euler_form(exact)
        return sweep_states(rotations.to(start.real.dtype), diagonals.to(start.dtype), start)
    return sweep_states_plainly(exact, start)


def sweep_states_plainly(angles, start):
    """The same in plain PyTorch: each block as two Kronecker products of half the qubits."""
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


def euler_form(angles):
    """The blocks as layers of real rotations between diagonals, for `sweep_states`: a third of the arithmetic.

    A qubit's RY RX is RZ(a) RY(b) RZ(c); the RZ of all qubits, of neighbouring blocks and the ring make one diagonal.

    Returns:
        rotations: cosines and sines of b / 2, ``(batch, depth, n, 2)``.
        diagonals: ``(batch, depth + 1, 2^n)`` complex.
    """
    n_qubits = angles.shape[-1]
    gates = rotation_gates(angles[:, :, 1], "y") @ rotation_gates(angles[:, :, 0], "x")  # (batch, depth, n, 2, 2)
    diagonal, lower = gates[..., 0, 0], gates[..., 1, 0]
    rotations = torch.stack([diagonal.abs(), lower.abs()], dim=-1)
    after = lower.angle() - diagonal.angle()  # phases of |1> relative to |0>: RZ(a) and RZ(c) up to a common phase
    before = -diagonal.angle() - lower.angle()
    bits = torch.arange(2**n_qubits)[:, None] >> torch.arange(n_qubits - 1, -1, -1) & 1
    signs = (1 - 2 * bits).T.to(angles.dtype) / 2
    ring = (1 - ring_signs(n_qubits, angles.dtype, angles.device)) * (torch.pi / 2)
    after, before = -(after @ signs), -(before @ signs)  # (batch, depth, 2^n)
    none = torch.zeros_like(after[:, :1])
    after += ring
    phases = torch.cat([none, after], dim=1) + torch.cat([before, none], dim=1)
    return rotations, torch.polar(torch.ones_like(phases), phases)


def _rotations(angles):
    """Both layers of every block as one 4 x 4 matrix a qubit on Pauli coefficients: ``(batch, depth, n, 4, 4)``."""
    return pauli.rotation(angles[:, :, 0], "x") @ pauli.rotation(angles[:, :, 1], "y")


def _sweep_down(angles, coefficients):
    """Pass H back through the blocks and read the gradient of every angle: ``(batch, depth, 2, n)``."""
    if compiled.takes(angles):
        return pauli_kernels.sweep_down(angles, coefficients)
    return sweep_down_plainly(angles, coefficients)


def sweep_down_plainly(angles, coefficients):
    """The same in plain PyTorch."""
    depth, n_qubits = angles.shape[1], angles.shape[3]
    permutation, signs = pauli.ring_permutation(n_qubits, angles.device)
    x_strings, y_strings = pauli.single_strings(n_qubits, "x"), pauli.single_strings(n_qubits, "y")
    rotations = _rotations(angles)
    gradient = []
    for block in reversed(range(depth)):
        coefficients = coefficients[:, permutation] * signs
        by_y = coefficients[:, y_strings]
        coefficients = pauli.apply_to_qubits(coefficients, list(rotations[:, block].unbind(1)))
        gradient.append(torch.stack([coefficients[:, x_strings], by_y], dim=1))
    return torch.stack(gradient[::-1], dim=1) / 2


def _sweep_up(angles, direction):
    """Transpose of `_sweep_down`: A with tangent(W) = -i/2 A W, as coefficients of sum_s a_s P_s, ``(batch, 4^n)``."""
    if compiled.takes(angles):
        return pauli_kernels.sweep_up(angles, direction)
    return sweep_up_plainly(angles, direction)


def sweep_up_plainly(angles, direction):
    """The same in plain PyTorch."""
    depth, n_qubits = angles.shape[1], angles.shape[3]
    permutation, signs = pauli.ring_permutation(n_qubits, angles.device)
    x_strings, y_strings = pauli.single_strings(n_qubits, "x"), pauli.single_strings(n_qubits, "y")
    rotations = _rotations(angles).mT
    accumulated = angles.new_zeros(angles.shape[0], 4**n_qubits)
    for block in range(depth):
        accumulated[:, x_strings] += direction[:, block, 0]
        accumulated = pauli.apply_to_qubits(accumulated, list(rotations[:, block].unbind(1)))
        accumulated[:, y_strings] += direction[:, block, 1]
        accumulated = accumulated[:, permutation] * signs
    return accumulated


def _sweep_down_tangent(angles, direction, coefficients, coefficients_dot):
    """Derivative of `_sweep_down` along (direction, coefficients_dot): ``(batch, depth, 2, n)``."""
    if compiled.takes(angles):
        return pauli_kernels.sweep_down_tangent(angles, direction, coefficients, coefficients_dot)
    return sweep_down_tangent_plainly(angles, direction, coefficients, coefficients_dot)


def sweep_down_tangent_plainly(angles, direction, coefficients, coefficients_dot):
    """The same in plain PyTorch: the derivative of a rotation by its angle is a further quarter turn."""
    depth, n_qubits = angles.shape[1], angles.shape[3]
    permutation, signs = pauli.ring_permutation(n_qubits, angles.device)
    strings = {axis: pauli.single_strings(n_qubits, axis) for axis in "xy"}
    gradient = torch.empty_like(angles)
    for block in reversed(range(depth)):
        coefficients, coefficients_dot = (each[:, permutation] * signs for each in (coefficients, coefficients_dot))
        gradient[:, block, 1] = coefficients_dot[:, strings["y"]]
        for layer, axis in ((1, "y"), (0, "x")):
            rotations = list(pauli.rotation(angles[:, block, layer], axis).unbind(1))
            coefficients = pauli.apply_to_qubits(coefficients, rotations)
            coefficients_dot = pauli.apply_to_qubits(coefficients_dot, rotations)
            coefficients_dot += pauli.quarter_turns(coefficients, direction[:, block, layer], axis)
        gradient[:, block, 0] = coefficients_dot[:, strings["x"]]
    return gradient / 2
