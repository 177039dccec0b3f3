"""Adapters of the simulators on PyTorch: this project's engine, and TorchQuantum, the paper's."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import cross_entropy

from benchmarks.machine import total_memory
from qpatch import ansatz
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN

MEMORY_SHARE = 0.6  # of the machine's memory, for what a gate-by-gate simulator keeps for its backward passes
# What TorchQuantum keeps, in statevectors a rotation, as measured: of a gradient, of a Hessian-vector product.
SAVED_BY_GRADIENT, SAVED_BY_PRODUCT = 2.5, 3.5


def flat(parts) -> torch.Tensor:
    """Angles and bias as one vector."""
    return torch.cat([part.flatten() for part in parts])


class Engine:
    """The engine of this project."""

    name, package, precision = "qpatch", "qpatch", "complex64"
    on_gpu = compiles = has_product = True

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


class TorchQuantum(Engine):
    """The paper's simulator, gate by gate; in parts of the batch where all would not fit the memory."""

    name, package, compiles = "TorchQuantum", "torchquantum", False

    def __init__(self, model: PatchQNN):
        from book.oracles.reference import ReferenceQNN

        reference = ReferenceQNN(model.config).to(model.bias.device)
        reference.load_state_dict(model.state_dict())
        super().__init__(reference)
        rotations = sum(gate.kind != "cz" for gate in ansatz.gates(model.config.n_qubits, model.config.depth))
        self.image_bytes = rotations * model.config.n_patches * 2**model.config.n_qubits * 8
        self.memory = MEMORY_SHARE * total_memory(model.bias.device)

    def gradient(self, images, labels):
        loss, total = 0.0, 0.0
        for part in self._parts(len(images), SAVED_BY_GRADIENT):
            share = cross_entropy(self.model(images[part]), labels[part], reduction="sum") / len(images)
            total = total + flat(torch.autograd.grad(share, self.parameters))
            loss = loss + share.detach()
        return loss, total

    def product(self, images, labels, vector):
        total = 0.0
        for part in self._parts(len(images), SAVED_BY_PRODUCT):
            share = cross_entropy(self.model(images[part]), labels[part], reduction="sum") / len(images)
            first = torch.autograd.grad(share, self.parameters, create_graph=True)
            total = total + flat(torch.autograd.grad(flat(first) @ vector, self.parameters))
        return total

    def n_parts(self, count: int, saved: float = SAVED_BY_GRADIENT) -> int:
        """Parts of so many images, equal but for the last, that fit the memory one after the other."""
        return max(1, min(count, math.ceil(count * saved * self.image_bytes / self.memory)))

    def _parts(self, count, saved):
        return torch.arange(count).chunk(self.n_parts(count, saved))
