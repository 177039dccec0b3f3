"""One QNN through every simulator: the same angles and images, outputs compared, times taken in turns with the engine.

Each of the others runs beside the engine in a process of its own, which is ended where it takes too long or too much
memory: ``python -m benchmarks.comparison '{"simulator": ...}'``, which prints its row after each operation.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import torch

from benchmarks import work
from benchmarks.limits import run_limited
from benchmarks.machine import installed_version
from benchmarks.simulators import OTHERS, Engine
from benchmarks.timing import measure, rounded, summarise
from qpatch.data import Split

OPERATIONS = ("step", "evaluation", "hvp")
RIVAL_MIB = 5 * 1024  # of the six gibibytes that all may take


def compare(sizes: work.Sizes, device: torch.device) -> dict:
    """The shallow circuit through all simulators, the deep one through the engine and TorchQuantum alone.

    A step is loss and gradient, an evaluation the logits alone, hvp a Hessian-vector product of the loss.
    """
    shallow = _case(sizes, sizes.shallow, OTHERS, OPERATIONS, device)
    deep = _case(dataclasses.replace(sizes, rounds=1), sizes.deep, OTHERS[:1], OPERATIONS[:2], device)
    return {"cases": [shallow, deep]}


def _case(sizes, depth, others, operations, device):
    config, model, split = _work(sizes, depth, device)
    engine, vector = Engine(model), _direction(model)
    tasks = {operation: _task(engine, operation, split, vector) for operation in operations}
    times, _ = measure(tasks, sizes.rounds, sizes.slice_seconds)
    rows = [_head(engine) | {"images": len(split)} | times]
    for kind in others:
        if device.type == "cuda" and not kind.on_gpu:
            rows.append({"name": kind.name, "status": "not on a GPU"})
        elif installed_version(kind.package) is None:
            rows.append({"name": kind.name, "status": "not installed"})
        else:
            rows.append(_in_child(sizes, depth, kind, operations, device))
    size = {"n_qubits": sizes.n_qubits, "depth": depth, "n_classes": config.n_classes, "batch": sizes.batch}
    return size | {"simulators": rows}


def _in_child(sizes, depth, kind, operations, device):
    case = {"simulator": kind.name, "depth": depth, "operations": operations, "device": device.type}
    case |= {"sizes": dataclasses.asdict(sizes), "threads": torch.get_num_threads()}
    printed, reason = run_limited("benchmarks.comparison", json.dumps(case), sizes.rival_seconds, RIVAL_MIB)
    lines = [line for line in printed.splitlines() if line.startswith("{")]
    row = json.loads(lines[-1]) if lines else {"name": kind.name}
    return row | ({"status": reason} if reason else {})


def measure_rival(case: dict) -> None:
    """Measure one simulator beside the engine, and print its row so far after each operation."""
    torch.set_num_threads(case["threads"])
    sizes, device = work.Sizes(**case["sizes"]), torch.device(case["device"])
    _, model, split = _work(sizes, case["depth"], device)
    engine, vector = Engine(model), _direction(model)
    kind = next(kind for kind in OTHERS if kind.name == case["simulator"])
    rival, count = kind(model), min(sizes.few_images.get(kind.name, sizes.batch), sizes.batch)
    few = Split(split.images[:count], split.labels[:count])
    row = _head(rival) | {"images": count, "ratios": {}, "differences": {}}
    if hasattr(rival, "n_parts"):
        row["parts"] = rival.n_parts(count)
    for operation in case["operations"]:
        if operation in rival.operations:
            tasks = {"engine": _task(engine, operation, split, vector), "rival": _task(rival, operation, few, vector)}
            cold = frozenset() if rival.compiles else frozenset({"rival"})
            rounds = 1 if operation == "hvp" else sizes.rounds  # of a gate-by-gate simulator it takes minutes
            times, outputs = measure(tasks, rounds, sizes.slice_seconds, cold)
            row[operation] = times["rival"]
            scale = len(split) / count
            turns = zip(times["rival"]["turns"], times["engine"]["turns"], strict=True)
            row["ratios"][operation] = summarise([scale * theirs / ours for theirs, ours in turns])
            row["differences"] |= _differences(operation, outputs["rival"], engine, few, vector)
            print(json.dumps(row))


def _work(sizes, depth, device):
    config = work.one_qnn(sizes.n_qubits, depth)
    return config, work.random_model(config, device), work.digits(config, sizes.batch, device)


def _head(simulator):
    version = installed_version(simulator.package)
    return {"name": simulator.name, "status": "measured", "version": version, "precision": simulator.precision}


def _direction(model):
    generator = torch.Generator().manual_seed(1)
    size = sum(parameter.numel() for parameter in model.parameters())
    vector = torch.randn(size, generator=generator).to(model.bias)
    return vector / vector.norm()


def _task(simulator, operation, split, vector):
    if operation == "evaluation":
        return lambda: simulator.logits(split.images)
    if operation == "step":
        return lambda: simulator.gradient(split.images, split.labels)
    return lambda: simulator.product(split.images, split.labels, vector)


def _differences(operation, output, engine, split, vector):
    """Largest difference of two logits, of the loss; relative norms of the differences of the derivatives."""
    expected = _task(engine, operation, split, vector)()
    if operation == "evaluation":
        found = {"logits": (output - expected).abs().max().item()}
    elif operation == "step":
        found = {"loss": (output[0] - expected[0]).abs().item(), "gradient": relative_norm(output[1], expected[1])}
    else:
        found = {"hvp": relative_norm(output, expected)}
    return {key: rounded(value) for key, value in found.items()}


def relative_norm(value: torch.Tensor, expected: torch.Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    return ((value - expected).norm() / expected.norm()).item()


if __name__ == "__main__":
    measure_rival(json.loads(sys.argv[1]))
