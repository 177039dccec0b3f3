"""What is measured beside the comparison: steps, whole training sets, scaling, errors. Each part a dictionary."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from benchmarks import work, yardstick
from benchmarks.comparison import relative_norm
from benchmarks.timing import measure, rounded
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import evaluate

EVALUATION_CHUNK = 1000  # images of an evaluation's products at a time


def training_step(model: PatchQNN, split: Split):
    """A step as in training: logits, loss, gradient and Adam's update."""
    optimizer = torch.optim.Adam(model.parameters(), lr=model.config.learning_rate)

    def step():
        optimizer.zero_grad()
        loss = cross_entropy(model(split.images), split.labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def steps(sizes: work.Sizes, device: torch.device) -> dict:
    """A step of many QNNs beside its irreducible products and the sweeps of the plain adjoint."""
    cases = []
    for depth in (sizes.shallow, sizes.deep):
        config = work.many_qnns(sizes.n_qubits, depth, sizes.strides[1])
        model, split = work.random_model(config, device), work.digits(config, sizes.batch, device)
        tasks = {
            "step": training_step(model, split),
            "products": yardstick.step_products(config.n_patches, sizes.n_qubits, sizes.batch, device),
            "sweep": yardstick.block_sweeps(config.n_patches, sizes.n_qubits, depth, device),
        }
        times, _ = measure(tasks, sizes.rounds, sizes.slice_seconds)
        whole = times["products"]["median"] + yardstick.SWEEPS_A_BLOCK * times["sweep"]["median"]
        size = {"n_qubits": sizes.n_qubits, "depth": depth, "n_patches": config.n_patches, "batch": sizes.batch}
        products = yardstick.STEP_PRODUCTS * config.n_patches
        work_done = products * yardstick.product_multiplications(sizes.n_qubits, sizes.batch)
        rate = rounded(work_done / times["products"]["median"] / 1e9)
        cases.append(size | times | {"yardstick": rounded(whole), "giga_multiply_adds": rate})
    return {"cases": cases}


def images(sizes: work.Sizes, device: torch.device) -> dict:
    """Evaluation, gradient and Hessian-vector product over a whole training set, and over one batch."""
    config = work.many_qnns(sizes.n_qubits, sizes.shallow, sizes.strides[0])
    model = work.random_model(config, device)
    cases = []
    for count in (sizes.batch, sizes.many_images):
        split = work.digits(config, count, device)
        curvature = LossCurvature(model, split)
        vector = torch.ones_like(curvature.point)
        products = (config.n_patches, sizes.n_qubits, count, min(count, EVALUATION_CHUNK), device)
        tasks = {
            "evaluation": lambda split=split: evaluate(model, split),
            "products": yardstick.evaluation_products(*products),
            "gradient": curvature.gradient,
            "hvp": lambda curvature=curvature, vector=vector: curvature.hessian @ vector,
        }
        times, _ = measure(tasks, sizes.rounds, sizes.slice_seconds)
        cases.append({"images": count} | times)
    return {
        "n_qubits": sizes.n_qubits,
        "depth": sizes.shallow,
        "n_patches": config.n_patches,
        "cases": cases,
    }


def scaling(sizes: work.Sizes, device: torch.device) -> dict:
    """A step, an evaluation and a Hessian-vector product of one batch, with one size varied at a time."""
    base = {"n_qubits": sizes.n_qubits, "depth": sizes.shallow, "batch": sizes.batch, "stride": sizes.strides[0]}
    axes = {}
    for axis, values in sizes.scaling.items():
        points = []
        for value in values:
            size = base | {axis: value}
            if axis == "n_qubits":  # two patches a side at any size
                size["stride"] = work.IMAGE_SIZE - value
            points.append(_point(sizes, size, device))
        axes["n_patches" if axis == "stride" else axis] = points
    return {"axes": axes}


def _point(sizes, size, device):
    config = work.many_qnns(size["n_qubits"], size["depth"], size["stride"])
    model, split = work.random_model(config, device), work.digits(config, size["batch"], device)
    curvature = LossCurvature(model, split)
    vector = torch.ones_like(curvature.point)
    tasks = {
        "step": training_step(model, split),
        "evaluation": lambda: evaluate(model, split),
        "hvp": lambda: curvature.hessian @ vector,
    }
    times, _ = measure(tasks, sizes.rounds, sizes.slice_seconds / 4)
    named = {"n_qubits": config.n_qubits, "depth": config.depth, "n_patches": config.n_patches, "batch": size["batch"]}
    return named | times


def errors(sizes: work.Sizes, device: torch.device) -> dict:
    """Single precision against double at random angles, few QNNs, the deep circuit."""
    config = work.many_qnns(sizes.n_qubits, sizes.deep, sizes.strides[0])
    split = work.digits(config, sizes.batch, device)
    outputs = []
    for dtype in (torch.float32, torch.float64):
        model = work.random_model(config, device).to(dtype)
        same = Split(split.images.to(dtype), split.labels)
        curvature = LossCurvature(model, same)
        generator = torch.Generator().manual_seed(2)
        vector = torch.randn(len(curvature.point), generator=generator).to(curvature.point)
        with torch.no_grad():
            logits = model(same.images)
        loss = cross_entropy(model(same.images), same.labels)
        gradient = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(model.parameters()))])
        outputs.append([part.double() for part in (logits, gradient, curvature.hessian @ vector)])
    (logits, gradient, product), (exact_logits, exact_gradient, exact_product) = outputs
    return {
        "n_qubits": sizes.n_qubits,
        "depth": sizes.deep,
        "n_patches": config.n_patches,
        "batch": sizes.batch,
        "scale": config.scale,
        "logits": rounded((logits - exact_logits).abs().max().item()),
        "gradient": rounded(relative_norm(gradient, exact_gradient)),
        "hvp": rounded(relative_norm(product, exact_product)),
    }
