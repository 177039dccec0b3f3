"""The gate order and the angle order, against the protocol written out by hand."""

import pytest
import torch

from qpatch import ansatz
from qpatch.ansatz import Gate

# n = 4, d = 1, from the protocol: 24 entangling angles (8 a stretch) and 2 encoding blocks of 16.
# Flat order: 0..7 entangling 1, 8..23 encoding 1, 24..31 entangling 2, 32..47 encoding 2, 48..55 entangling 3.
RING = ["cz 0 1", "cz 1 2", "cz 2 3", "cz 3 0"]


def entangling(first: int) -> list[str]:
    return [f"rx {q} angle {first + q}" for q in range(4)] + [f"ry {q} angle {first + 4 + q}" for q in range(4)]


def encoding(first: int, feature: int) -> list[str]:
    lines = []
    for q in range(4):
        a, x = first + 4 * q, feature + 2 * q
        lines += [f"ry {q} angle {a}", f"rx {q} feature {x}", f"ry {q} angle {a + 1}"]
        lines += [f"rx {q} angle {a + 2}", f"ry {q} feature {x + 1}", f"rx {q} angle {a + 3}"]
    return lines


def as_text(gate: Gate) -> str:
    if gate.kind == "cz":
        return "cz {} {}".format(*gate.qubits)
    source = f"angle {gate.angle}" if gate.feature is None else f"feature {gate.feature}"
    return f"{gate.kind} {gate.qubits[0]} {source}"


def test_gates_of_four_qubits_and_depth_one_are_the_protocols():
    expected = [
        *entangling(0), *RING,
        *encoding(8, feature=0), *RING,
        *entangling(24), *RING,
        *encoding(32, feature=8), *RING,
        *entangling(48),  # the last block has no ring
    ]  # fmt: skip
    assert [as_text(gate) for gate in ansatz.gates(4, 1)] == expected


@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 3), (4, 2), (6, 1), (8, 5)])
def test_every_angle_and_every_feature_is_used_once(n_qubits, depth):
    gates = list(ansatz.gates(n_qubits, depth))
    angles = [gate.angle for gate in gates if gate.angle is not None]
    features = [gate.feature for gate in gates if gate.feature is not None]
    assert sorted(angles) == list(range(6 * n_qubits * depth + 2 * n_qubits**2))
    assert sorted(features) == list(range(n_qubits**2))
    assert sum(gate.kind == "cz" for gate in gates) == n_qubits * (3 * depth + 1)  # 3 d - 1 blocks and 2 encodings


def test_paper_circuit_has_the_features_of_a_qubit_in_turn():
    """Qubit i takes features 4 i to 4 i + 3 of the first half, then of the second, as RX, RY, RX, RY."""
    features = [(gate.feature, gate.kind, gate.qubits[0]) for gate in ansatz.gates(8, 1) if gate.feature is not None]
    expected = [
        (32 * block + 4 * qubit + j, "rx" if j % 2 == 0 else "ry", qubit)
        for block in range(2)
        for qubit in range(8)
        for j in range(4)
    ]
    assert features == expected


def test_angles_are_split_for_any_leading_axes():
    flat = torch.arange(2 * 3 * 104).reshape(2, 3, 104)  # n = 4, d = 3
    angles = ansatz.split_angles(flat, 4)
    assert angles.entangling.shape == (2, 3, 3, 3, 2, 4)
    assert angles.encoding.shape == (2, 3, 2, 4, 2, 2)
    # stretch 1 starts after 24 angles and 16 of encoding; block 2, RY, qubit 1 is 2 * 8 + 4 + 1 further on
    assert angles.entangling[1, 2, 1, 2, 1, 1] == 5 * 104 + 40 + 21
    # encoding 2 starts at 24 + 16 + 24; qubit 3, feature 1, after: 3 * 4 + 2 + 1 further on
    assert angles.encoding[1, 2, 1, 3, 1, 1] == 5 * 104 + 64 + 15


@pytest.mark.parametrize("n_angles", [0, 32, 55, 57, 80 + 8])
def test_a_number_of_angles_that_fits_no_depth_is_refused(n_angles):
    with pytest.raises(ValueError, match=f"{n_angles} angles fit no circuit of 4 qubits; 6 n d"):
        ansatz.split_angles(torch.zeros(n_angles), 4)


def test_readout_is_x_on_the_first_half_of_the_classes_and_z_on_the_rest():
    assert ansatz.readout(8, 10) == [("x", qubit) for qubit in range(5)] + [("z", qubit) for qubit in range(5)]
    assert ansatz.readout(4, 3) == [("x", 0), ("x", 1), ("z", 0)]
    assert len(set(ansatz.readout(4, 8))) == 8


def test_readout_of_more_classes_than_the_qubits_hold_is_refused():
    with pytest.raises(ValueError, match="9 classes need 5 qubits, there are 4"):
        ansatz.readout(4, 9)
