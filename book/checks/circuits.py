"""What the answers about patches, circuits, readout and the engine are held against."""

from __future__ import annotations

from functools import partial, reduce

import numpy as np
import torch

from book.checks.compare import call, fail_unless, same, same_function, same_set, to_number, to_values
from qpatch import ansatz, engine
from qpatch.config import RunConfig, valid_strides
from qpatch.curvature.power import dense_hessian
from qpatch.engine import blocks, gates
from qpatch.engine.readout import expectation_values_plainly

SAMPLES = 200  # of a variance
PROBABILITIES = "are these probabilities, the squares? Amplitudes are asked for"
ANGLE_PAIRS = [(0.0, 0.0), (0.3, 0.7), (-1.1, 2.5), (np.pi / 2, np.pi / 3)]


def _one_qubit(state):
    def rotated(theta1, theta2, order=1, part=1.0):
        """The state after RX and RY by a part of their angles; order -1 applies RY first."""
        angles = ((theta1, "x"), (theta2, "y"))
        rx, ry = (gates.rotation_gates(torch.tensor(part * theta, dtype=torch.float64), axis) for theta, axis in angles)
        return (ry @ rx if order == 1 else rx @ ry)[:, 0]

    slips = {
        "is RX applied first? The gate that acts first stands on the right": partial(rotated, order=-1),
        "is it half the angle in the sines and cosines?": partial(rotated, part=2.0),
        PROBABILITIES: lambda *angles: rotated(*angles).abs() ** 2,
    }
    same_function(state, rotated, ANGLE_PAIRS, slips=slips)


def _hessian_by_hand(hessian, saddle):
    def expected(*theta):
        return dense_hessian(lambda t: torch.cos(t[0]) * torch.cos(t[1]), torch.tensor(theta, dtype=torch.float64))

    slips = {"look at the sign off the diagonal": lambda *theta: expected(*theta) * torch.tensor([[1, -1], [-1, 1]])}
    same_function(hessian, expected, ANGLE_PAIRS, slips=slips)
    point = to_values(saddle, "the saddle")
    fail_unless(point.shape == (2,), "the saddle is a point of two angles")
    slope = np.abs([np.sin(point[0]) * np.cos(point[1]), np.cos(point[0]) * np.sin(point[1])])
    fail_unless(slope.max() < 1e-6, "the gradient does not vanish at the saddle; are the angles in radians?")
    low, high = np.linalg.eigvalsh(expected(*point))
    fail_unless(low < 0 < high, "at this point both curvatures have the same sign: a minimum or a maximum, no saddle")


def _plateau(variance):
    for n_qubits, depth in ((4, 2), (4, 16), (6, 16)):
        found = to_number(call(variance, n_qubits, depth, what="variance"))
        wanted = _shift_variance(n_qubits, depth)
        slips = {
            "is it the standard deviation?": wanted**0.5,
            "are the angles drawn between 0 and 2 pi, and not pi?": _shift_variance(n_qubits, depth, high=torch.pi),
            "is it the derivative by an angle in the middle?": _shift_variance(n_qubits, depth, place=-1),
        }
        near = [question for question, slip in slips.items() if abs(found / slip - 1) < 0.4]  # what chance can do
        fail_unless(
            0.5 < found / wanted < 2,
            f"the variance for {n_qubits} qubits at depth {depth} is too {'large' if found > wanted else 'small'} for"
            f" what chance can do; {near[0] if near else 'is the derivative taken of an output, by one angle?'}",
        )


def _shift_variance(n_qubits: int, depth: int, high: float = 2 * torch.pi, place: int | None = None) -> float:
    """Variance of the derivative by an angle, the middle one, by the parameter-shift rule on angles of another seed."""
    generator = torch.Generator().manual_seed(12345)
    n_angles = ansatz.n_angles(n_qubits, depth)
    angles = torch.rand((SAMPLES, n_angles), generator=generator) * high
    sides = []
    for shift in (torch.pi / 2, -torch.pi / 2):
        moved = angles.clone()
        moved[:, n_angles // 2 if place is None else place] += shift
        features = torch.zeros(1, SAMPLES, n_qubits**2)
        sides.append(engine.expectations(engine.prepare(moved, n_qubits), features, n_classes=1)[:, 0, 0])
    return ((sides[0] - sides[1]) / 2).var().item()


def _strides(strides, numbers):
    blind = set(valid_strides(14, 4, allow_unseen=True)) - set(valid_strides(14, 4))
    fail_unless(
        not blind & set(to_values(strides, "the list of strides").ravel().tolist()),
        "one of the strides tiles the side, but leaves pixels between its patches that none of them sees",
    )
    same_set(strides, valid_strides(14, 4), "the list of strides")
    configs = [RunConfig(stride=int(stride), n_qubits=4, n_classes=8) for stride in to_values(strides).ravel()]
    sides = np.array([config.patches_per_side for config in configs])
    slips = {
        "is it the number of patches a side? The image has as many rows of them": sides,
        "is a row one patch short? There is one more of them than steps between them": (sides - 1) ** 2,
    }
    same(numbers, sides**2, what="the list of numbers of patches", slips=slips)


def _coverage(coverage):
    same(coverage, RunConfig(stride=2).coverage, what="the coverage")


def _depth_for_patches(depth):
    wanted = RunConfig(stride=6, depth=200).n_angles
    fitting = [d for d in range(1, 201) if RunConfig(stride=2, depth=d).n_angles == wanted]
    same(depth, fitting[0], what="the depth")


def _scale(probability):
    def expected(c, a, n_classes):
        means = torch.full((n_classes,), -a, dtype=torch.float64)
        means[0] = a
        return torch.softmax(c * means, dim=0)[0]

    same_function(probability, expected, [(1.0, 1.0, 10), (100.0, 0.05, 10), (100.0, 0.01, 4), (2.0, -0.5, 3)])


def _block(block):
    def expected(x_angles, y_angles):
        angles = torch.tensor(np.stack([x_angles, y_angles]))[None, None]  # (batch, depth, 2, n)
        return blocks.stretch_states(angles)[0]

    generator = np.random.default_rng(5)
    arguments = [tuple(generator.uniform(0, np.pi, size=(2, n_qubits))) for n_qubits in (3, 4, 5)]

    def swapped(x_angles, y_angles):
        qubits = zip(torch.from_numpy(x_angles), torch.from_numpy(y_angles), strict=True)
        states = [(gates.rotation_gates(x, "x") @ gates.rotation_gates(y, "y"))[:, 0] for x, y in qubits]
        return reduce(torch.kron, states) * _signs(len(x_angles))

    slips = {
        "is RX applied before RY?": swapped,
        "are the controlled-Z gates missing?": lambda *angles: expected(*angles) * _signs(len(angles[0])),
        PROBABILITIES: lambda *angles: expected(*angles).abs() ** 2,
    }
    same_function(block, expected, arguments, slips=slips)


def _readout(outputs):
    generator = np.random.default_rng(6)
    for _ in range(3):
        psi = generator.normal(size=16) + 1j * generator.normal(size=16)
        psi /= np.linalg.norm(psi)
        wanted = expectation_values_plainly(torch.from_numpy(psi)[None, None], 4)[0, 0]
        same(call(outputs, psi), wanted, what="the array of outputs")


def _engine_memory(gigabytes):
    config, bytes_per_entry = RunConfig(stride=2, depth=200), torch.complex64.itemsize
    matrices = config.n_patches * 2 * config.depth  # the first stretch needs a vector only
    same(gigabytes, matrices * 4**config.n_qubits * bytes_per_entry / 1e9, what="the memory in gigabytes")


def _ring_signs(signs):
    def open_chain(n_qubits):
        closing = np.ones((2,) * n_qubits)
        closing[(1, *[slice(None)] * (n_qubits - 2), 1)] = -1
        return _signs(n_qubits).numpy() * closing.ravel()

    slips = {"is the pair missing that closes the ring?": open_chain}
    same_function(signs, _signs, [(4,), (6,)], slips=slips)
    slips = {"the ring has its pair twice here, (0, 1) and (1, 0)": open_chain}
    same_function(signs, _signs, [(2,)], slips=slips)


def _signs(n_qubits: int) -> torch.Tensor:
    return gates.ring_signs(n_qubits, torch.float64, torch.device("cpu"))


CHECKS = {
    "ex-one-qubit": _one_qubit,
    "ex-hessian-by-hand": _hessian_by_hand,
    "ex-plateau": _plateau,
    "ex-strides": _strides,
    "ex-coverage": _coverage,
    "ex-depth-for-patches": _depth_for_patches,
    "ex-scale": _scale,
    "ex-block": _block,
    "ex-readout": _readout,
    "ex-engine-memory": _engine_memory,
    "ex-ring-signs": _ring_signs,
}
