"""Adapters of simulators without gradients of a batch: Qulacs, PennyLane's lightning.qubit, scaluq. A single QNN."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qpatch import ansatz
from qpatch.model.qnn import PatchQNN


class ImageByImage:
    """A loop over the images; a gradient by each rotation's own angle, gathered for the parameters.

    A subclass gives ``_run(turns)`` for the angles of all rotations in the order of the circuit: the expectation
    values ``(n_classes,)``, and a function that takes weights to the derivatives of their weighted sum by each turn.
    """

    on_gpu = compiles = False
    operations: tuple[str, ...] = ("step", "evaluation")

    def __init__(self, model: PatchQNN):
        self.config = model.config
        self.angles, self.bias = model.angles[0].detach(), model.bias.detach()
        self.gates = list(ansatz.gates(self.config.n_qubits, self.config.depth))
        self.rotations = [gate for gate in self.gates if gate.kind != "cz"]
        self.readout = ansatz.readout(self.config.n_qubits, self.config.n_classes)

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return self.config.scale * torch.stack([self._run(turns)[0] for turns in self._turns(images)])

    def gradient(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy and its flat gradient."""
        values, pulls = zip(*(self._run(turns) for turns in self._turns(images)), strict=True)
        values = torch.stack(values).detach().requires_grad_()
        loss = cross_entropy(self.config.scale * values, labels)
        (weights,) = torch.autograd.grad(loss, values)
        by_turns = sum(pull(row) for pull, row in zip(pulls, weights, strict=True))

        total = torch.zeros(len(self.angles) + self.bias.numel())
        places = [len(self.angles) + gate.feature if gate.angle is None else gate.angle for gate in self.rotations]
        total[places] = by_turns.float()
        return loss.detach(), total

    def _turns(self, images):
        """For each image the angles of all rotations: ``(n_rotations,)`` each."""
        for features in (images + self.bias).flatten(1):
            yield torch.stack(
                [features[g.feature] if g.angle is None else self.angles[g.angle] for g in self.rotations]
            )


class Qulacs(ImageByImage):
    """Qulacs: a parametric circuit and its backprop, in double precision, which is all that it has."""

    name, package, precision = "Qulacs", "qulacs", "complex128"

    def __init__(self, model: PatchQNN):
        import qulacs

        super().__init__(model)
        self.qulacs = qulacs
        self.circuit = qulacs.ParametricQuantumCircuit(self.config.n_qubits)
        add = {"rx": self.circuit.add_parametric_RX_gate, "ry": self.circuit.add_parametric_RY_gate}
        for gate in self.gates:
            if gate.kind == "cz":
                self.circuit.add_CZ_gate(*gate.qubits)
            else:
                add[gate.kind](gate.qubits[0], 0.0)

    def _run(self, turns):
        for index, turn in enumerate(turns.tolist()):
            self.circuit.set_parameter(index, -turn)  # Qulacs turns by exp(+i angle P / 2)
        state = self.qulacs.QuantumState(self.config.n_qubits)
        self.circuit.update_quantum_state(state)
        observables = (self._observable([place], [1.0]) for place in self.readout)
        values = torch.tensor([each.get_expectation_value(state) for each in observables])

        def pull(weights):
            for index, turn in enumerate(turns.tolist()):  # another image's may have come between
                self.circuit.set_parameter(index, -turn)
            return -torch.tensor(self.circuit.backprop(self._observable(self.readout, weights.tolist())))

        return values, pull

    def _observable(self, places, weights):
        observable = self.qulacs.Observable(self.config.n_qubits)
        for (axis, qubit), weight in zip(places, weights, strict=True):
            observable.add_operator(weight, f"{axis.upper()} {qubit}")
        return observable


class PennyLane(ImageByImage):
    """PennyLane's lightning.qubit with adjoint differentiation, through its PyTorch interface."""

    name, package, precision = "PennyLane lightning", "pennylane-lightning", "complex64"

    def __init__(self, model: PatchQNN):
        import pennylane

        super().__init__(model)
        device = pennylane.device("lightning.qubit", wires=self.config.n_qubits, c_dtype=np.complex64)
        rotate = {"rx": pennylane.RX, "ry": pennylane.RY}
        pauli = {"x": pennylane.X, "z": pennylane.Z}

        @pennylane.qnode(device, diff_method="adjoint", interface="torch", device_vjp=True)
        def circuit(turns):
            remaining = iter(turns)
            for gate in self.gates:
                if gate.kind == "cz":
                    pennylane.CZ(gate.qubits)
                else:
                    rotate[gate.kind](next(remaining), gate.qubits[0])
            return [pennylane.expval(pauli[axis](qubit)) for axis, qubit in self.readout]

        self.circuit = circuit

    def _run(self, turns):
        turns = turns.clone().requires_grad_()
        values = torch.stack(self.circuit(turns))
        return values, lambda weights: torch.autograd.grad(values, turns, weights.to(values))[0]


class Scaluq:
    """scaluq, Qulacs' successor: one circuit on a batch of states. It has no gradients."""

    name, package, precision = "scaluq", "scaluq", "complex64"
    on_gpu = compiles = False
    operations = ("evaluation",)

    def __init__(self, model: PatchQNN):
        import scaluq

        self.scaluq, self.config = scaluq, model.config
        self.angles, self.bias = model.angles[0].detach(), model.bias.detach()
        self.gates = list(ansatz.gates(self.config.n_qubits, self.config.depth))
        texts = (
            f"{axis.upper()} {qubit}" for axis, qubit in ansatz.readout(self.config.n_qubits, self.config.n_classes)
        )
        self.observables = [scaluq.Operator([scaluq.PauliOperator(text, precision="f32")], "f32") for text in texts]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        circuit, turns = self.scaluq.Circuit("f32"), self.angles.tolist()
        for gate in self.gates:
            kind, make = gate.kind.upper(), self.scaluq.gate
            if gate.angle is not None:
                circuit.add_gate(getattr(make, kind)(*gate.qubits, turns[gate.angle], precision="f32"))
            elif gate.feature is not None:
                turned = getattr(make, f"Param{kind}")(*gate.qubits, precision="f32")
                circuit.add_param_gate(turned, str(gate.feature))
            else:
                circuit.add_gate(make.CZ(*gate.qubits, precision="f32"))
        states = self.scaluq.StateVectorBatched(len(images), self.config.n_qubits, "f32")
        features = (images + self.bias).flatten(1).T.tolist()
        circuit.update_quantum_state(states, params={str(number): row for number, row in enumerate(features)})
        values = [[value.real for value in each.get_expectation_value(states)] for each in self.observables]
        return self.config.scale * torch.tensor(values).T
