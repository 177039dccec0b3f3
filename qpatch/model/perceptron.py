"""The classical twin of the distributed QNN: the same patches, bias, mean and scale, a small perceptron for each QNN.

What of the paper's findings a perceptron shows as well is not about quantum circuits.
"""

from typing import NamedTuple

import torch

from qpatch.config import RunConfig
from qpatch.model.qnn import PatchQNN


class Weights(NamedTuple):
    """The perceptrons' parameters by layer: matrices ``(P, out, in)`` and offsets ``(P, out)``."""

    first: torch.Tensor
    first_offset: torch.Tensor
    second: torch.Tensor
    second_offset: torch.Tensor


def split_weights(flat: torch.Tensor, config: RunConfig) -> Weights:
    """Weights of ``(P, n_angles_per_qnn)``, in the order of `Weights`, each row-major."""
    inputs, hidden, outputs = config.n_qubits**2, config.n_hidden, config.n_classes
    shapes = [(hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
    parts = flat.split([torch.Size(shape).numel() for shape in shapes], dim=1)
    return Weights(*(part.unflatten(1, shape) for part, shape in zip(parts, shapes, strict=True)))


class PatchPerceptron(PatchQNN):
    """Average of one perceptron a patch, ``tanh(V tanh(W x + a) + b)``, as logits; it serves wherever a QNN does.

    ``x`` are the patch's 64 pixels with the bias added. The outputs lie in [-1, 1] as expectation values do. Weights
    stand where a QNN's angles stand, ``(n_patches, n_angles_per_qnn)``; `RunConfig.n_hidden` makes them about as many.
    """

    @staticmethod
    def initial(config: RunConfig) -> torch.Tensor:
        """PyTorch's own start of a linear layer, uniform within one over the root of its inputs; drawn as the angles.

        From a generator seeded with ``config.seed``, perceptron by perceptron: ``(P, n_angles_per_qnn)`` float32.
        """
        generator = torch.Generator().manual_seed(config.seed)
        rows = [torch.rand(config.n_angles_per_qnn, generator=generator) for _ in range(config.n_patches)]
        parts = split_weights(2 * torch.stack(rows) - 1, config)
        inputs = (config.n_qubits**2,) * 2 + (config.n_hidden,) * 2
        return torch.cat([(part / n**0.5).flatten(1) for part, n in zip(parts, inputs, strict=True)], dim=1)

    def built(self, angles: torch.Tensor) -> Weights:
        """The weights by layer."""
        return split_weights(angles, self.config)

    def outputs(self, prepared: Weights, features: torch.Tensor) -> torch.Tensor:
        """Outputs ``(P, B, n_classes)`` in [-1, 1] of the patches' pixels ``(B, P, patch_size^2)``."""
        hidden = torch.tanh(features.transpose(0, 1) @ prepared.first.mT + prepared.first_offset[:, None])
        return torch.tanh(hidden @ prepared.second.mT + prepared.second_offset[:, None])


def build_model(config: RunConfig) -> PatchQNN:
    """The model that a configuration names: of QNNs, or of perceptrons in their place."""
    return (PatchPerceptron if config.network == "perceptron" else PatchQNN)(config)
