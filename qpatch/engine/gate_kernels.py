"""Kernels of `encoding`: one 2 x 2 matrix a qubit on the statevectors of one QNN, images ``first`` to ``last``.

A kernel holds one image, its real and imaginary parts apart. A gate acts on amplitudes that are far apart only for the
first half of the qubits; transposed, so are the others': side 1 is the transposed one. With G' = G A, the tangent of
the product is that of its first factors: the gates act on states' + sum_q A_q states.

Gates are ``(n, B, 4)`` complex, states ``(B, 2^(n + 1))`` real or one for all images.
"""

import numpy as np

from qpatch.engine.compiled import compiled, join_parts, split_parts, transpose


@compiled
def forward(gates, states, out, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts = np.empty((2, half * half), out.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        for side in range(2):
            for k in range(half_qubits):
                _apply(_gate(gates[side * half_qubits + k, image]), 2 ** (2 * half_qubits - 1 - k), parts)
            transpose(parts, half)
        join_parts(parts[0], parts[1], out[image])


@compiled
def forward_tangent(gates, gates_dot, states, states_dot, out_dot, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, dots = np.empty((2, half * half), out_dot.dtype), np.empty((2, half * half), out_dot.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _read(states_dot, image, dots)
        for side in range(2):
            for k in range(half_qubits):
                gate, gate_dot = _gate(gates[side * half_qubits + k, image]), gates_dot[side * half_qubits + k, image]
                _add_applied(_times(_adjoint(gate), _gate(gate_dot)), 2 ** (2 * half_qubits - 1 - k), parts, dots)
            if side == 0:
                transpose(parts, half)
                transpose(dots, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                _apply(_gate(gates[side * half_qubits + k, image]), 2 ** (2 * half_qubits - 1 - k), dots)
            if side == 1:
                transpose(dots, half)
        join_parts(dots[0], dots[1], out_dot[image])


@compiled
def backward(gates, states, cotangent, by_gates, by_states, first, last):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, pulled = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _pull(gates, cotangent, image, pulled)
        transpose(parts, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                qubit = side * half_qubits + k
                outer = _outer(pulled, parts, 2 ** (2 * half_qubits - 1 - k))
                _write(_times(_gate(gates[qubit, image]), outer), by_gates[qubit, image])
            if side == 1:
                transpose(parts, half)
                transpose(pulled, half)
        join_parts(pulled[0], pulled[1], by_states[image])


@compiled
def backward_tangent(
    gates, gates_dot, states, states_dot, by_gates, by_states, cotangent_dot, by_gates_dot, by_states_dot, first, last
):
    half_qubits, half = gates.shape[0] // 2, 2 ** (gates.shape[0] // 2)
    parts, dots = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    pulled, pulled_dots = np.empty((2, half * half), by_states.dtype), np.empty((2, half * half), by_states.dtype)
    for image in range(first, last):
        _read(states, image, parts)
        _read(states_dot, image, dots)
        _read(by_states, image, pulled)
        _pull(gates, cotangent_dot, image, pulled_dots)
        transpose(pulled, half)
        for side in range(1, -1, -1):
            for k in range(half_qubits):
                gate, gate_dot = _gate(gates[side * half_qubits + k, image]), gates_dot[side * half_qubits + k, image]
                turn = _times(_adjoint(_gate(gate_dot)), gate)
                _add_applied(turn, 2 ** (2 * half_qubits - 1 - k), pulled, pulled_dots)
            if side == 1:
                transpose(pulled, half)
                transpose(pulled_dots, half)
        join_parts(pulled_dots[0], pulled_dots[1], by_states_dot[image])
        for side in range(2):
            for k in range(half_qubits):
                qubit, size = side * half_qubits + k, 2 ** (2 * half_qubits - 1 - k)
                gate, gate_dot = _gate(gates[qubit, image]), _gate(gates_dot[qubit, image])
                outer_dot = _sum(_outer(pulled_dots, parts, size), _outer(pulled, dots, size))
                outer = _times(_adjoint(gate), _gate(by_gates[qubit, image]))
                _write(_sum(_times(gate_dot, outer), _times(gate, outer_dot)), by_gates_dot[qubit, image])
            for tensor in (parts, dots, pulled, pulled_dots):
                transpose(tensor, half)


@compiled
def _read(states, image, parts):
    split_parts(states[image if len(states) > 1 else 0], parts[0], parts[1])


@compiled
def _pull(gates, cotangent, image, parts):
    """The adjoint gates on the cotangent of one image; leaves it transposed."""
    half_qubits = gates.shape[0] // 2
    split_parts(cotangent[image], parts[0], parts[1])
    for side in range(2):
        for k in range(half_qubits):
            adjoint = _adjoint(_gate(gates[side * half_qubits + k, image]))
            _apply(adjoint, 2 ** (2 * half_qubits - 1 - k), parts)
        if side == 0:
            transpose(parts, 2**half_qubits)


@compiled
def _gate(entries):
    return entries[0], entries[1], entries[2], entries[3]


@compiled
def _write(gate, entries):
    for k in range(4):
        entries[k] = gate[k]


@compiled
def _adjoint(gate):
    return gate[0].conjugate(), gate[2].conjugate(), gate[1].conjugate(), gate[3].conjugate()


@compiled
def _sum(left, right):
    return left[0] + right[0], left[1] + right[1], left[2] + right[2], left[3] + right[3]


@compiled
def _times(left, right):
    (a, b, c, d), (e, f, g, h) = left, right
    return a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h


@compiled
def _parts(gate):
    a, b, c, d = gate
    return a.real, a.imag, b.real, b.imag, c.real, c.imag, d.real, d.imag


@compiled
def _apply(gate, size, parts):
    a, ai, b, bi, c, ci, d, di = _parts(gate)
    for begin in range(0, parts.shape[1], 2 * size):
        x_real, y_real = parts[0, begin : begin + size], parts[0, begin + size : begin + 2 * size]
        x_imag, y_imag = parts[1, begin : begin + size], parts[1, begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            x_real[k] = a * x - ai * xi + b * y - bi * yi
            x_imag[k] = a * xi + ai * x + b * yi + bi * y
            y_real[k] = c * x - ci * xi + d * y - di * yi
            y_imag[k] = c * xi + ci * x + d * yi + di * y


@compiled
def _add_applied(gate, size, parts, total):
    """Add G x to the total."""
    a, ai, b, bi, c, ci, d, di = _parts(gate)
    for begin in range(0, parts.shape[1], 2 * size):
        x_real, y_real = parts[0, begin : begin + size], parts[0, begin + size : begin + 2 * size]
        x_imag, y_imag = parts[1, begin : begin + size], parts[1, begin + size : begin + 2 * size]
        to_x_real, to_y_real = total[0, begin : begin + size], total[0, begin + size : begin + 2 * size]
        to_x_imag, to_y_imag = total[1, begin : begin + size], total[1, begin + size : begin + 2 * size]
        for k in range(size):
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            to_x_real[k] += a * x - ai * xi + b * y - bi * yi
            to_x_imag[k] += a * xi + ai * x + b * yi + bi * y
            to_y_real[k] += c * x - ci * xi + d * y - di * yi
            to_y_imag[k] += c * xi + ci * x + d * yi + di * y


@compiled
def _outer(left, right, size):
    """Sum of l r^dagger over all pairs of amplitudes, a 2 x 2 matrix."""
    ga = gai = gb = gbi = gc = gci = gd = gdi = left[0, 0] - left[0, 0]  # zero of the right dtype
    for begin in range(0, left.shape[1], 2 * size):
        u_real, v_real = left[0, begin : begin + size], left[0, begin + size : begin + 2 * size]
        u_imag, v_imag = left[1, begin : begin + size], left[1, begin + size : begin + 2 * size]
        x_real, y_real = right[0, begin : begin + size], right[0, begin + size : begin + 2 * size]
        x_imag, y_imag = right[1, begin : begin + size], right[1, begin + size : begin + 2 * size]
        for k in range(size):
            u, ui, v, vi = u_real[k], u_imag[k], v_real[k], v_imag[k]
            x, xi, y, yi = x_real[k], x_imag[k], y_real[k], y_imag[k]
            ga += u * x + ui * xi
            gai += ui * x - u * xi
            gb += u * y + ui * yi
            gbi += ui * y - u * yi
            gc += v * x + vi * xi
            gci += vi * x - v * xi
            gd += v * y + vi * yi
            gdi += vi * y - v * yi
    return complex(ga, gai), complex(gb, gbi), complex(gc, gci), complex(gd, gdi)
