"""Adapters of the simulators on PyTorch: this project's engine, TorchQuantum, fastQML, PennyLane's default.qubit."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import ClassVar

import torch
from torch.nn.functional import cross_entropy

from qpatch import ansatz
from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN

PARTS_BYTES = 3 * 2**30  # for what a simulator keeps for its backward passes, of the memory that it may take in all


def flat(parts) -> torch.Tensor:
    """Angles and bias as one vector."""
    return torch.cat([part.flatten() for part in parts])


class Engine:
    """The engine of this project."""

    name, package, precision = "qpatch", "qpatch", "complex64"
    on_gpu = compiles = True
    operations = ("step", "evaluation", "hvp")

    def __init__(self, model: PatchQNN):
        self.model = model
        self.parameters = tuple(model.parameters())

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images)

    def gradient(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy and its flat gradient."""
        loss = cross_entropy(self.model(images), labels)
        return loss.detach(), flat(torch.autograd.grad(loss, self.parameters))

    def product(self, images: torch.Tensor, labels: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """Hessian of the mean cross-entropy times a flat vector."""
        return LossCurvature(self.model, Split(images, labels)).hessian @ vector


class InParts(Engine):
    """A model that autograd differentiates, in parts of the batch where all would not fit the memory.

    A subclass gives ``saved``: by operation, what is kept of an image in statevectors a rotation, as measured.
    """

    compiles = False
    saved: ClassVar[dict[str, float]]

    def __init__(self, model: torch.nn.Module, config: RunConfig):
        super().__init__(model)
        rotations = sum(gate.kind != "cz" for gate in ansatz.gates(config.n_qubits, config.depth))
        self.image_bytes = rotations * config.n_patches * 2**config.n_qubits * 8
        self.memory = PARTS_BYTES

    def gradient(self, images, labels):
        loss, total = 0.0, 0.0
        for part in self._parts(len(images), "step"):
            share = cross_entropy(self.model(images[part]), labels[part], reduction="sum") / len(images)
            total = total + flat(torch.autograd.grad(share, self.parameters))
            loss = loss + share.detach()
        return loss, total

    def product(self, images, labels, vector):
        total = 0.0
        for part in self._parts(len(images), "hvp"):
            share = cross_entropy(self.model(images[part]), labels[part], reduction="sum") / len(images)
            first = torch.autograd.grad(share, self.parameters, create_graph=True)
            total = total + flat(torch.autograd.grad(flat(first) @ vector, self.parameters))
        return total

    def n_parts(self, count: int, operation: str = "step") -> int:
        """Parts of so many images, equal but for the last, that fit the memory one after the other."""
        return max(1, min(count, math.ceil(count * self.saved[operation] * self.image_bytes / self.memory)))

    def _parts(self, count, operation):
        return torch.arange(count).chunk(self.n_parts(count, operation))


class TorchQuantum(InParts):
    """The paper's simulator, gate by gate."""

    name, package = "TorchQuantum", "torchquantum"
    saved: ClassVar = {"step": 2.5, "hvp": 3.5}

    def __init__(self, model: PatchQNN):
        from book.oracles.reference import ReferenceQNN

        reference = ReferenceQNN(model.config).to(model.bias.device)
        reference.load_state_dict(model.state_dict())
        super().__init__(reference, model.config)


class OneCircuit(torch.nn.Module):
    """A model of one QNN whose expectation values ``run(angles, features)`` gives: ``(B, n_classes)``."""

    def __init__(self, model: PatchQNN, run: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]):
        super().__init__()
        self.scale, self.run = model.config.scale, run
        self.angles = torch.nn.Parameter(model.angles.detach().clone())
        self.bias = torch.nn.Parameter(model.bias.detach().clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * self.run(self.angles[0], (images + self.bias).flatten(1))


class FastQML(InParts):
    """fastQML: a layer as one matrix, the Kronecker product of its gates; a matrix an image and qubit for the features.

    An image's rotations of a qubit are multiplied together before they are applied, as its fused builders do for two.
    """

    name, package = "fastQML", "fastqml"
    on_gpu, operations = False, ("step", "evaluation")
    saved: ClassVar = {"step": 1.5}

    def __init__(self, model: PatchQNN):
        from fastqml import gate_fusion

        self.fusion, self.config = gate_fusion, model.config
        self.layers = _layers(model.config)
        plans = (model.config.n_qubits, model.bias.device, torch.float32, gate_fusion.diagonal_commute)
        self.plans = gate_fusion.compute_two_qubit_plans(ansatz.ring(model.config.n_qubits), *plans)
        super().__init__(OneCircuit(model, self._expectations), model.config)

    def _expectations(self, angles, features):
        n_qubits = self.config.n_qubits
        shape = len(features), *[2] * n_qubits
        real = torch.zeros(len(features), 2**n_qubits).index_fill(1, torch.tensor([0]), 1.0).reshape(shape)
        imag = torch.zeros(shape)
        for layer in self.layers:
            if layer is None:
                gates = self.fusion.build_cz_4x4(n_qubits, real.device, real.dtype)
                for plan in self.plans:
                    chosen = (part[plan["k_idx"]] for part in gates)
                    real, imag = self.fusion.apply_disjoint_two_qubit_layer(real, imag, plan, *chosen)
            else:
                per_image = any(gate.angle is None for row in layer for gate in row)
                turned = (self._turned(row, angles, features, per_image) for row in layer)
                apply = self.fusion.apply_per_batch_su2_chain if per_image else self.fusion.apply_su2_layer
                real, imag = apply(real, imag, *functools.reduce(_after, turned))
        return _expectation_values(real.flatten(1), imag.flatten(1), self.config)

    def _turned(self, row, angles, features, per_image):
        """The gates of one rotation a qubit, ``(n, 2, 2)``, or an image and qubit, ``(B, n, 2, 2)``."""
        turns = [features[:, gate.feature] if gate.angle is None else angles[gate.angle] for gate in row]
        turns = torch.stack([turn.expand(len(features)) if per_image else turn for turn in turns], dim=-1)
        return getattr(self.fusion, f"build_{row[0].kind}_{'per_batch' if per_image else 'gates'}")(turns)


def _layers(config: RunConfig) -> list:
    """The circuit as layers: rows of one rotation a qubit, one after the other, or None for a ring of CZ gates."""
    layers, waiting = [], {}
    for gate in ansatz.gates(config.n_qubits, config.depth):
        if gate.kind != "cz":
            waiting.setdefault(gate.qubits[0], []).append(gate)
        elif waiting:
            layers += [list(zip(*(waiting[qubit] for qubit in range(config.n_qubits)), strict=True)), None]
            waiting = {}
    return [*layers, list(zip(*(waiting[qubit] for qubit in range(config.n_qubits)), strict=True))]


def _after(first, second):
    """The product of complex matrices in real and imaginary parts, the second applied last."""
    (a, b), (c, d) = first, second
    return c @ a - d @ b, c @ b + d @ a


def _expectation_values(real, imag, config):
    index, values = torch.arange(real.shape[1]), []
    for axis, qubit in ansatz.readout(config.n_qubits, config.n_classes):
        bit = 1 << (config.n_qubits - 1 - qubit)
        if axis == "x":
            values.append((real * real[:, index ^ bit] + imag * imag[:, index ^ bit]).sum(1))
        else:
            values.append(((real**2 + imag**2) * (1 - 2 * ((index & bit) > 0).to(real))).sum(1))
    return torch.stack(values, dim=1)


class DefaultQubit(InParts):
    """PennyLane's default.qubit on PyTorch: the images broadcast, differentiated by backpropagation."""

    name, package = "PennyLane default", "pennylane"
    on_gpu, operations = False, ("step", "evaluation")
    saved: ClassVar = {"step": 5.0}

    def __init__(self, model: PatchQNN):
        import pennylane

        config = model.config
        rotate, pauli = {"rx": pennylane.RX, "ry": pennylane.RY}, {"x": pennylane.X, "z": pennylane.Z}
        gates = list(ansatz.gates(config.n_qubits, config.depth))

        @pennylane.qnode(pennylane.device("default.qubit"), diff_method="backprop", interface="torch")
        def circuit(angles, features):
            for gate in gates:
                if gate.kind == "cz":
                    pennylane.CZ(gate.qubits)
                else:
                    turn = features[:, gate.feature] if gate.angle is None else angles[gate.angle]
                    rotate[gate.kind](turn, gate.qubits[0])
            return [
                pennylane.expval(pauli[axis](qubit))
                for axis, qubit in ansatz.readout(config.n_qubits, config.n_classes)
            ]

        super().__init__(OneCircuit(model, lambda *inputs: torch.stack(circuit(*inputs), dim=1).float()), config)
