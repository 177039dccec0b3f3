"""How far the model is from the author's: outputs of his model on fixed inputs, stored under tests/golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qpatch.config import RunConfig
from qpatch.model import PatchQNN

STRIDES = {4: 6, 9: 3, 16: 2}  # by number of patches


def compare_with_golden(file: Path) -> dict[str, str | float]:
    """Deviations of one file: logits and loss absolute, gradient and Hessian-vector product relative to the largest."""
    stored = {name: torch.from_numpy(values) for name, values in np.load(file).items() if values.ndim}
    loss_there = float(np.load(file)["loss"])
    n_patches, n_angles = stored["angles"].shape
    model = PatchQNN(RunConfig(stride=STRIDES[n_patches], depth=(n_angles - 128) // 48))
    model.load_state_dict({"angles": stored["angles"], "bias": stored["bias"]})
    parameters = (model.angles, model.bias)

    logits = model(stored["pixels"])
    loss = cross_entropy(logits, stored["labels"].long())
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    along = sum((part * stored[name]).sum() for part, name in zip(gradient, ("v_angles", "v_bias"), strict=True))
    product = torch.autograd.grad(along, parameters)
    return {
        "File": file.stem,
        "Logits": (logits - stored["logits"]).abs().max().item(),
        "Loss": abs(loss.item() - loss_there),
        "Gradient": _relative(gradient, (stored["grad_angles"], stored["grad_bias"])),
        "Hessian-vector product": _relative(product, (stored["hv_angles"], stored["hv_bias"])),
    }


def _relative(ours, theirs) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
