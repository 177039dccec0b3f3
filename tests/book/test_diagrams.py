import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from oracles import PAULI

from book.site import diagrams
from qpatch import ansatz
from qpatch.config import RunConfig
from qpatch.engine.circuit import encoding_gates
from qpatch.model.qnn import PatchQNN, cut_patches


@pytest.fixture
def ax():
    fig, ax = plt.subplots(figsize=(6, 6))
    yield ax
    fig.canvas.draw()  # everything that was drawn can be rendered
    plt.close(fig)


def boxes(ax, color):
    return [patch for patch in ax.patches if patch.get_facecolor() == to_rgba(color)]


@pytest.mark.parametrize(("n_qubits", "depth"), [(2, 1), (4, 1), (4, 3), (6, 2)])
def test_circuit_shows_every_angle_pixel_and_entangler(ax, n_qubits, depth):
    diagrams.draw_circuit(ax, n_qubits, depth, n_classes=n_qubits)
    assert len(boxes(ax, diagrams.TRAINED)) == 6 * n_qubits * depth + 2 * n_qubits**2
    assert len(boxes(ax, diagrams.FEATURE)) == n_qubits**2
    assert sum(line.get_gid() == "cz" for line in ax.lines) == n_qubits * (3 * depth + 1)  # one ring fewer, two more


def test_boxes_on_a_wire_stand_in_the_order_of_the_gates(ax):
    n_qubits, depth = 4, 2
    diagrams.draw_circuit(ax, n_qubits, depth, n_classes=8)
    lines = len(diagrams.ROWS)
    top = [line * (n_qubits + 1.3) for line in range(lines)]
    for qubit in range(n_qubits):
        wires = [[text for text in ax.texts if text.get_position()[1] == top[line] + qubit] for line in range(lines)]
        read = [text.get_text() for wire in wires for text in sorted(wire, key=lambda text: text.get_position()[0])]
        arguments = [label.split("\n")[1] for label in read if "\n" in label]
        expected = [
            rf"$\theta_{{{gate.angle}}}$" if gate.feature is None else f"$x_{{{gate.feature}}}$"
            for gate in ansatz.gates(n_qubits, depth)
            if gate.kind != "cz" and gate.qubits == (qubit,)
        ]
        assert arguments == expected
        assert f"$⟨X_{qubit}⟩$, $⟨Z_{qubit}⟩$" in read


def test_nothing_in_the_circuit_overlaps(ax):
    diagrams.draw_circuit(ax, 4, 2, n_classes=8)
    areas = np.array([patch.get_path().get_extents().extents for patch in ax.patches])  # x0, y0, x1, y1
    dots = np.array([line.get_xdata()[0] for line in ax.lines if line.get_gid() == "cz"])
    heights = np.array([line.get_ydata() for line in ax.lines if line.get_gid() == "cz"])
    for number, (left, low, right, high) in enumerate(areas):
        others = np.delete(areas, number, axis=0)
        apart = (others[:, 0] >= right) | (others[:, 2] <= left) | (others[:, 1] >= high) | (others[:, 3] <= low)
        assert apart.all()
        crossed = (dots > left) & (dots < right) & (heights.max(1) > low) & (heights.min(1) < high)
        assert not crossed.any()


def test_sections_are_the_whole_circuit_and_pixels_are_in_the_encodings():
    parts = diagrams.sections(4, 3)
    assert [gate for part in parts.values() for gate in part] == list(ansatz.gates(4, 3))
    assert {name for name, part in parts.items() if any(gate.feature is not None for gate in part)} == {"E_1", "E_2"}


def test_engine_drawing_names_the_shapes_that_the_engine_has(ax):
    config = RunConfig(stride=5, depth=2, n_qubits=4, n_classes=6)
    images = torch.zeros(7, config.image_size, config.image_size)
    model = PatchQNN(config)
    diagrams.draw_engine(ax, config, len(images))
    prepared = model.prepare()
    features = cut_patches(images, config.patch_size, config.stride)
    small = encoding_gates(prepared.encoding, features)[:, 0]
    tensors = [prepared.start, small, prepared.middle, small, prepared.final]
    tensors += [model.expectations(prepared, images), model(images)]
    labels = [text.get_text() for text in ax.texts]
    shown = [label for label in labels if diagrams.TIMES in label]
    assert shown == [f" {diagrams.TIMES} ".join(map(str, tensor.shape)) for tensor in tensors]


def test_pixels_belong_to_the_qubits_of_the_protocol(ax):
    # Protocol: in each half of the patch, qubit i takes the features 4 i .. 4 i + 3.
    expected = (np.arange(64) % 32 // 4).reshape(8, 8)
    np.testing.assert_array_equal(diagrams.pixel_qubits(8), expected)
    diagrams.draw_pixel_qubits(ax, 8)
    assert [int(text.get_text()) for text in ax.texts] == expected.ravel().tolist()


def test_bloch_vectors_are_the_pauli_expectations():
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(5, 2, dtype=torch.complex128, generator=generator)
    states /= states.norm(dim=1, keepdim=True)
    dense = torch.stack([torch.einsum("mi,ij,mj->m", states.conj(), PAULI[axis], states).real for axis in "xyz"], 1)
    vectors = diagrams.bloch_vectors(states)
    np.testing.assert_allclose(vectors, dense, atol=1e-14)  # rounding of a few products
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-14)


def test_the_view_of_the_sphere_keeps_it_a_disc(ax):
    poles = diagrams.on_paper(np.vstack([np.eye(3), -np.eye(3)]))
    assert np.linalg.norm(poles, axis=1).max() <= 1
    # Orthographic: the projections of an orthonormal frame have orthonormal rows.
    np.testing.assert_allclose(poles[:3].T @ poles[:3], np.eye(2), atol=1e-14)
    angle = np.linspace(0, 1.2, 9)
    states = np.stack([np.cos(angle / 2), -1j * np.sin(angle / 2)], axis=1)  # a rotation about x
    diagrams.draw_bloch(ax, states)
    path = next(line for line in ax.lines if line.get_gid() == "path")
    turned = np.stack([0 * angle, -np.sin(angle), np.cos(angle)], axis=1)
    np.testing.assert_allclose(path.get_xydata(), diagrams.on_paper(turned), atol=1e-14)
