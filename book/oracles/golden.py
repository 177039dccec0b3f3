"""How far a model is from the author's: outputs of his model on fixed inputs, stored under tests/golden."""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from qpatch.config import PAPER_STRIDES, RunConfig
from qpatch.model.qnn import PatchQNN


def load_golden(file: Path) -> tuple[RunConfig, dict[str, torch.Tensor]]:
    """A golden file's configuration and tensors; its parameters are ``angles`` and ``bias``."""
    with np.load(file) as arrays:
        golden = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    golden["labels"] = golden["labels"].long()
    by_patches = {RunConfig(stride=stride).n_patches: stride for stride in PAPER_STRIDES}
    return RunConfig(stride=by_patches[int(golden["n_patches"])], depth=int(golden["depth"])), golden


def golden_model(backend: type, file: Path) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A model of a backend (`PatchQNN`, `ReferenceQNN`) with a file's parameters, and the file."""
    config, golden = load_golden(file)
    model = backend(config)
    model.load_state_dict({"angles": golden["angles"], "bias": golden["bias"]})
    return model, golden


def compare_with_golden(file: Path, backend: type = PatchQNN) -> dict[str, str | float]:
    """Deviations of one file: logits and loss absolute, gradient and Hessian-vector product relative to the largest."""
    model, golden = golden_model(backend, file)
    parameters = (model.angles, model.bias)
    logits = model(golden["pixels"])
    loss = cross_entropy(logits, golden["labels"])
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    along = sum((part * golden[name]).sum() for part, name in zip(gradient, ("v_angles", "v_bias"), strict=True))
    product = torch.autograd.grad(along, parameters)
    return {
        "File": file.stem,
        "Logits": (logits - golden["logits"]).abs().max().item(),
        "Loss": abs(loss.item() - golden["loss"].item()),
        "Gradient": _relative(gradient, (golden["grad_angles"], golden["grad_bias"])),
        "Hessian-vector product": _relative(product, (golden["hv_angles"], golden["hv_bias"])),
    }


def _relative(ours, theirs) -> float:
    pairs = zip(ours, theirs, strict=True)
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in pairs)
