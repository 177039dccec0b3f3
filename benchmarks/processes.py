"""A run shared out among processes of this machine: how long a step and a product take, and how much of it is exchange.

``python -m benchmarks.processes '{...}'`` is one of the processes; `processes` starts them. `Model` is what the times
should be, from the cost of a QNN and of what is exchanged; the performance page holds it against them and carries it on
to machines that are not here.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks import machine, work
from benchmarks.timing import rounded, summarise, timed
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Dataset
from qpatch.files import PROJECT
from qpatch.model.training import Trainer
from qpatch.model.world import World, joined
from qpatch.runs.provenance import processors
from qpatch.runs.together import LOOPBACK, follow

NUMBERS = (1, 1000, 1_000_000)  # float32 that are added up over the processes
BYTES = 4


def processes(sizes: work.Sizes, device: torch.device) -> dict:
    """The few QNNs of the other parts, on one thread a process; the cost of adding up some numbers among them."""
    case = {"n_qubits": sizes.n_qubits, "depth": sizes.shallow, "stride": sizes.strides[0], "batch": sizes.batch}
    case |= {"device": device.type, "repeats": sizes.process_repeats}
    config = work.many_qnns(sizes.n_qubits, sizes.shallow, sizes.strides[0])
    measured = [{"processes": size} | _together(size, case) for size in sizes.process_numbers]
    named = {"n_patches": config.n_patches, "n_trainable": config.n_trainable, "n_classes": config.n_classes}
    return case | named | {"processor": machine.describe(device)["processor"], "cores": processors(), "cases": measured}


def _together(size: int, case: dict) -> dict:
    """What the first of so many processes measures."""
    with socket.socket() as free:
        free.bind((LOOPBACK, 0))
        address = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free.getsockname()[1])}
    environment = os.environ | address | {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(size)}
    command = [sys.executable, "-m", "benchmarks.processes", json.dumps(case)]
    options = {"cwd": PROJECT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=environment | {"RANK": str(rank)}, **options) for rank in range(size)]
    said = [process.communicate() for process in started]
    for process, (_, errors) in zip(started, said, strict=True):
        if process.returncode:
            raise RuntimeError(f"one of {size} processes failed with exit code {process.returncode}:\n{errors}")
    return json.loads(said[0][0].splitlines()[-1])


def measure_case(case: dict, world: World) -> dict:
    """Times of steps, products and sums in this process, and what of them it spent in exchange, waiting included."""
    device, repeats = torch.device(case["device"]), case["repeats"]
    config = work.many_qnns(case["n_qubits"], case["depth"], case["stride"])
    config = config.replace(batch_size=case["batch"], n_train=2 * case["batch"])
    model = work.random_model(config, device)
    model.world = world
    split = work.digits(config, 2 * case["batch"], device)
    trainer = Trainer(model, Dataset(split, split))
    clock = _Clock(world)
    found = {"sums": {number: _sum_seconds(world, number, device, repeats) for number in NUMBERS}}
    found["step"] = clock.times(lambda: next(trainer.steps()), repeats)
    if world.leads:
        loss = LossCurvature(model, work.digits(config, case["batch"], device))
        found["hvp"] = clock.times(lambda: loss.hessian @ loss.point, repeats)
    else:
        follow(world, config, case["device"])
    return found


def _sum_seconds(world: World, count: int, device: torch.device, repeats: int) -> float:
    numbers = torch.zeros(count, device=device)
    world.total(numbers)
    return rounded(timed(lambda: [world.total(numbers) for _ in range(repeats)])[0] / repeats)


class _Clock:
    """Measures what a process spends in the exchanges of its world."""

    def __init__(self, world: World):
        self.spent = 0.0
        world.total, world.shared = self._counted(world.total), self._counted(world.shared)

    def _counted(self, exchange: Callable) -> Callable:
        def counted(*arguments, **options):
            began = time.perf_counter()
            result = exchange(*arguments, **options)
            self.spent += time.perf_counter() - began
            return result

        return counted

    def times(self, task: Callable, repeats: int) -> dict:
        """Of so many calls after the first: the times, and the median that is exchange."""
        task()
        seconds, spent = [], []
        for _ in range(repeats):
            self.spent = 0.0
            seconds.append(timed(task)[0])
            spent.append(self.spent)
        return summarise(seconds) | {"exchange": summarise(spent)["median"]}


# -- what the times should be -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    """Seconds of an operation of P QNNs on so many devices: what one QNN costs on one, and what is exchanged.

    A sum over N devices goes up and down a tree, ``2 log2 N`` times the ``latency``, and moves ``2 (N - 1) / N`` times
    its bytes at ``bandwidth`` bytes a second.
    """

    qnn: float  # seconds
    sums: tuple[int, ...]  # bytes of each sum
    latency: float
    bandwidth: float

    def compute(self, n_patches: int, devices: int) -> float:
        """What the device with the most QNNs takes."""
        return self.qnn * math.ceil(n_patches / devices)

    def exchange(self, devices: int) -> float:
        if devices == 1:
            return 0.0
        moved = 2 * (devices - 1) / devices * sum(self.sums) / self.bandwidth
        return 2 * math.log2(devices) * self.latency * len(self.sums) + moved

    def seconds(self, n_patches: int, devices: int) -> float:
        return self.compute(n_patches, devices) + self.exchange(devices)


def step_sums(batch: int, n_classes: int) -> tuple[int, ...]:
    """Bytes of a step's two sums, whatever the depth: the logits of the mini-batch, the gradient by the bias."""
    return batch * n_classes * BYTES, work.IMAGE_SIZE**2 * BYTES


def product_sums(batch: int, n_classes: int, n_trainable: int) -> tuple[int, ...]:
    """Bytes of a product's: logits, their tangents, the product; and, not added up but sent, point and vector."""
    logits, vector = batch * n_classes * BYTES, n_trainable * BYTES
    return logits, logits, vector, vector


def model_here(part: dict, operation: str) -> Model:
    """The model of this machine: a QNN's cost from one process, latency and bandwidth from sums between two."""
    alone, two = part["cases"][0], next(case for case in part["cases"] if case["processes"] == 2)
    least, most = (two["sums"][str(number)] for number in (NUMBERS[0], NUMBERS[-1]))
    sums = step_sums(part["batch"], part["n_classes"])
    if operation == "hvp":
        sums = product_sums(part["batch"], part["n_classes"], part["n_trainable"])
    bandwidth = NUMBERS[-1] * BYTES / max(most - least, 1e-9)
    return Model(alone[operation]["median"] / part["n_patches"], sums, least / 2, bandwidth)


def seconds_here(part: dict, operation: str, size: int) -> float:
    """What the model says of so many processes here, where no more compute at a time than there are cores."""
    model = model_here(part, operation)
    return model.compute(part["n_patches"], min(size, part["cores"])) + model.exchange(size)


if __name__ == "__main__":
    case = json.loads(sys.argv[1])
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    config = work.many_qnns(case["n_qubits"], case["depth"], case["stride"])
    if size == 1:
        print(json.dumps(measure_case(case, World())))
    else:
        with joined(rank, size, config.n_patches, "gloo") as world:
            found = measure_case(case, world)
            world.lead("end")
        print(json.dumps(found))
