"""Adapter of TensorCircuit-NG on JAX."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.simulators.torch_based import flat
from qpatch import ansatz
from qpatch.model.qnn import PatchQNN


class TensorCircuit:
    """TensorCircuit-NG on JAX: compiled, vectorised over the images, a scan over the blocks of a stretch."""

    name, package, precision = "TensorCircuit-NG", "tensorcircuit-ng", "complex64"
    on_gpu, compiles, operations = False, True, ("step", "evaluation")

    def __init__(self, model: PatchQNN):
        import jax
        import jax.numpy as jnp
        import tensorcircuit

        tensorcircuit.set_backend("jax")
        tensorcircuit.set_dtype("complex64")
        self.jax, self.jnp, self.circuit, self.config = jax, jnp, tensorcircuit.Circuit, model.config
        self.angles, self.bias = (jnp.asarray(part.detach().numpy()) for part in (model.angles[0], model.bias))
        batched = jax.vmap(self._image_logits, in_axes=(None, 0))

        def loss(angles, bias, images, labels):
            logits = batched(angles, (images + bias).reshape(len(images), -1))
            chosen = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
            return jnp.mean(jax.scipy.special.logsumexp(logits, axis=1) - chosen)

        self._logits = jax.jit(lambda angles, bias, images: batched(angles, (images + bias).reshape(len(images), -1)))
        self._gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))

    def logits(self, images):
        values = self._logits(self.angles, self.bias, self.jnp.asarray(images.numpy()))
        return torch.from_numpy(np.array(values))

    def gradient(self, images, labels):
        arrays = self.jnp.asarray(images.numpy()), self.jnp.asarray(labels.numpy())
        loss, gradients = self.jax.block_until_ready(self._gradient(self.angles, self.bias, *arrays))
        return torch.tensor(float(loss)), flat(torch.from_numpy(np.array(part)) for part in gradients)

    def _image_logits(self, angles, features):
        n_qubits, depth = self.config.n_qubits, self.config.depth
        gates = list(ansatz.gates(n_qubits, depth))
        block = 3 * n_qubits  # RX and RY on every qubit, the ring
        encoding = (len(gates) + n_qubits - ansatz.N_STRETCHES * depth * block) // 2
        state = self.jnp.zeros(2**n_qubits, dtype="complex64").at[0].set(1)
        for _ in range(ansatz.N_STRETCHES - 1):
            state = self._stretch(gates[: depth * block], depth, state, angles)
            state = self._apply(gates[depth * block : depth * block + encoding], state, angles, features)
            gates = gates[depth * block + encoding :]
        state = self._stretch(gates, depth - 1, state, angles)  # the last block has no ring
        circuit = self._continue(gates[(depth - 1) * block :], state, angles, features)
        places = ansatz.readout(n_qubits, self.config.n_classes)
        values = [circuit.expectation_ps(**{axis: [qubit]}) for axis, qubit in places]
        return self.config.scale * self.jnp.real(self.jnp.stack(values))

    def _stretch(self, gates, n_blocks, state, angles):
        """Scan over equal blocks: the gates of the first with the angles of each."""
        if n_blocks == 0:
            return state
        block = gates[: 3 * self.config.n_qubits]
        turned = [gate.angle for gate in gates if gate.angle is not None][: n_blocks * 2 * self.config.n_qubits]
        rows = angles[self.jnp.asarray(turned)].reshape(n_blocks, -1)
        first = turned[0]
        block = [gate if gate.angle is None else gate._replace(angle=gate.angle - first) for gate in block]
        return self.jax.lax.scan(lambda kept, row: (self._apply(block, kept, row, None), None), state, rows)[0]

    def _apply(self, gates, state, angles, features):
        return self._continue(gates, state, angles, features).state()

    def _continue(self, gates, state, angles, features):
        circuit = self.circuit(self.config.n_qubits, inputs=state)
        for gate in gates:
            if gate.kind == "cz":
                circuit.cz(*gate.qubits)
            else:
                theta = features[gate.feature] if gate.angle is None else angles[gate.angle]
                getattr(circuit, gate.kind)(gate.qubits[0], theta=theta)
        return circuit
