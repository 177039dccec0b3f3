"""One small adapter a simulator: logits, loss and gradient of the same model at the same images.

An adapter is made from a `PatchQNN` and has

- ``logits(images)``: ``(B, n_classes)``, without gradients;
- ``gradient(images, labels)``: the mean cross-entropy and its flat gradient, angles first, then bias;
- ``product(images, labels, vector)``: the Hessian times a flat vector, where ``has_product``;
- ``name``, ``package`` (as pip knows it), ``precision``, and whether it runs ``on_gpu`` and ``compiles`` at first.

All but the engine's read the circuit from `qpatch.ansatz.gates`; those that take a single QNN say so.
"""

from benchmarks.simulators.jax_based import TensorCircuit
from benchmarks.simulators.loops import PennyLane, Qulacs
from benchmarks.simulators.torch_based import Engine, TorchQuantum

OTHERS = (TorchQuantum, TensorCircuit, Qulacs, PennyLane)

__all__ = ["OTHERS", "Engine", "PennyLane", "Qulacs", "TensorCircuit", "TorchQuantum"]
