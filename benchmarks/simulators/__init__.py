"""One small adapter a simulator: logits, loss and gradient of the same model at the same images.

An adapter is made from a `PatchQNN` and has

- ``logits(images)``: ``(B, n_classes)``, without gradients;
- ``gradient(images, labels)``: the mean cross-entropy and its flat gradient, angles first, then bias;
- ``product(images, labels, vector)``: the Hessian times a flat vector;
- ``operations``: which of 'step' (the gradient), 'evaluation' (the logits) and 'hvp' (the product) it can do;
- ``name``, ``package`` (as pip knows it), ``precision``, and whether it runs ``on_gpu`` and ``compiles`` at first.

All but the engine's read the circuit from `qpatch.ansatz.gates`; those that take a single QNN say so.
"""

from benchmarks.simulators.jax_based import TensorCircuit
from benchmarks.simulators.loops import PennyLane, Qulacs, Scaluq
from benchmarks.simulators.torch_based import DefaultQubit, Engine, FastQML, TorchQuantum

OTHERS = (TorchQuantum, TensorCircuit, FastQML, DefaultQubit, Qulacs, Scaluq, PennyLane)

__all__ = [
    "OTHERS",
    "DefaultQubit",
    "Engine",
    "FastQML",
    "PennyLane",
    "Qulacs",
    "Scaluq",
    "TensorCircuit",
    "TorchQuantum",
]
