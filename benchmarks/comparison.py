"""One QNN through every simulator: the same angles and images, outputs compared, times taken in turns."""

from __future__ import annotations

import torch

from benchmarks import work
from benchmarks.machine import installed_version
from benchmarks.simulators import OTHERS, Engine, TorchQuantum
from benchmarks.timing import measure, rounded
from qpatch.data import Split

OPERATIONS = ("step", "evaluation", "hvp")


def compare(sizes: work.Sizes, device: torch.device) -> dict:
    """The shallow circuit through all simulators, the deep one through the engine and TorchQuantum alone.

    A step is loss and gradient, an evaluation the logits alone, hvp a Hessian-vector product of the loss.
    """
    shallow = _case(sizes, sizes.shallow, OTHERS, sizes.rounds, OPERATIONS, device)
    deep = _case(sizes, sizes.deep, OTHERS[:1], 1, OPERATIONS[:2], device)
    return {"cases": [shallow, deep]}


def _case(sizes, depth, others, rounds, operations, device):
    config = work.one_qnn(sizes.n_qubits, depth)
    model, split = work.random_model(config, device), work.digits(config, sizes.batch, device)
    simulators, absent = _make(model, others, device)
    counts = {each.name: min(sizes.few_images.get(each.name, sizes.batch), sizes.batch) for each in simulators}
    vector = _direction(model)

    times, outputs = {}, {}
    for operation in operations:
        tasks = {
            each.name: _task(each, operation, _first(split, counts[each.name]), vector)
            for each in simulators
            if operation != "hvp" or each.has_product
        }
        cold = frozenset(each.name for each in simulators if not each.compiles)
        turns = 1 if operation == "hvp" else rounds  # of a gate-by-gate simulator it takes minutes
        times[operation], outputs[operation] = measure(tasks, turns, sizes.slice_seconds, cold)

    rows = [_row(each, counts[each.name], times, outputs, (simulators[0], split, vector)) for each in simulators]
    size = {"n_qubits": sizes.n_qubits, "depth": depth, "n_classes": config.n_classes, "batch": sizes.batch}
    return size | {"simulators": rows + absent}


def _make(model, others, device):
    """The simulators that can be measured here, the engine first, and rows for those that cannot."""
    present, absent = [Engine(model)], []
    for kind in others:
        status = "not on a GPU" if device.type == "cuda" and not kind.on_gpu else None
        if status is None and installed_version(kind.package) is None:
            status = "not installed"
        if status is None:
            present.append(kind(model))
        else:
            absent.append({"name": kind.name, "status": status})
    return present, absent


def _direction(model):
    generator = torch.Generator().manual_seed(1)
    size = sum(parameter.numel() for parameter in model.parameters())
    vector = torch.randn(size, generator=generator).to(model.bias)
    return vector / vector.norm()


def _first(split, count):
    return Split(split.images[:count], split.labels[:count])


def _task(simulator, operation, split, vector):
    if operation == "evaluation":
        return lambda: simulator.logits(split.images)
    if operation == "step":
        return lambda: simulator.gradient(split.images, split.labels)
    return lambda: simulator.product(split.images, split.labels, vector)


def _row(simulator, count, times, outputs, ours):
    """One simulator's times, and how far its outputs are from the engine's on the same images."""
    row = {
        "name": simulator.name,
        "status": "measured",
        "version": installed_version(simulator.package),
        "precision": simulator.precision,
        "images": count,
    }
    if isinstance(simulator, TorchQuantum):
        row["parts"] = simulator.n_parts(count)
    row |= {operation: values[simulator.name] for operation, values in times.items() if simulator.name in values}
    engine, split, vector = ours
    if simulator is not engine:
        row["differences"] = _differences(simulator.name, outputs, engine, _first(split, count), vector)
    return row


def _differences(name, outputs, engine, split, vector):
    """Largest difference of two logits, of the loss; relative norms of the differences of the derivatives."""
    loss, gradient = outputs["step"][name]
    expected_loss, expected = engine.gradient(split.images, split.labels)
    values = {
        "logits": (outputs["evaluation"][name] - engine.logits(split.images)).abs().max().item(),
        "loss": (loss - expected_loss).abs().item(),
        "gradient": relative_norm(gradient, expected),
    }
    if name in outputs.get("hvp", {}):
        values["hvp"] = relative_norm(outputs["hvp"][name], engine.product(split.images, split.labels, vector))
    return {key: rounded(value) for key, value in values.items()}


def relative_norm(value: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    return ((value - expected).norm() / expected.norm()).item()
