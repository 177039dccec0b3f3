"""How long a study will take on this machine: a few operations are timed, their costs scaled to every pending stage.

A step, an evaluation and a Hessian-vector product each cost, for every QNN, a share that grows with depth (the
unitaries that all images share) and one that grows with the images. Three measurements of each give both, and the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import lazy_loader

from qpatch import curvature, data, model
from qpatch.config import RunConfig
from qpatch.runs.stages import STAGES

torch = lazy_loader.load("torch")

DEPTHS = (5, 45)
IMAGES = {"step": (100, 600), "evaluation": (200, 2200), "product": (100, 600)}
NOTEBOOK_SECONDS = 2.0  # a stage's share of the start of its run's kernel, and its figure


@dataclass(frozen=True)
class Cost:
    """Seconds of an operation: ``fixed + n_patches (by_depth d + by_image n)``."""

    fixed: float
    by_depth: float
    by_image: float

    def seconds(self, config: RunConfig, n_images: int) -> float:
        return self.fixed + config.n_patches * (self.by_depth * config.depth + self.by_image * n_images)


def fit_cost(measure: Callable[[int, int], float], n_patches: int, images: tuple[int, int]) -> Cost:
    """The cost of an operation from ``measure(depth, images)`` in seconds, at three corners of depths and images."""
    (shallow, deep), (few, many) = DEPTHS, images
    base = measure(shallow, few)
    by_depth = max(0.0, measure(deep, few) - base) / (deep - shallow) / n_patches
    by_image = max(0.0, measure(shallow, many) - base) / (many - few) / n_patches
    fixed = max(0.0, base - n_patches * (by_depth * shallow + by_image * few))
    return Cost(fixed, by_depth, by_image)


def calibrate(n_qubits: int, device: torch.device) -> dict[str, Cost]:
    """Costs of 'step', 'evaluation' and 'product' with this number of qubits, measured in seconds on made-up images."""
    four = {"n_qubits": n_qubits, "stride": n_qubits, "image_size": 2 * n_qubits, "n_classes": 2}  # patches

    def seconds(name: str, depth: int, images: int) -> float:
        work = _operation(name, RunConfig(**four, depth=depth, n_train=2 * images, batch_size=images), device)
        work()  # compiles
        return min(_timed(work, device) for _ in range(3))

    n_patches = RunConfig(**four).n_patches
    return {name: fit_cost(partial(seconds, name), n_patches, images) for name, images in IMAGES.items()}


def _operation(name: str, config: RunConfig, device: torch.device) -> Callable[[], object]:
    qnns, split = model.PatchQNN(config).to(device), _made_up(config, config.batch_size)
    if name == "step":
        trainer = model.Trainer(qnns, data.Dataset(_made_up(config, config.n_train), split))
        return lambda: next(trainer.steps())
    split = split.to(qnns.bias)
    if name == "evaluation":
        return lambda: model.evaluate(qnns, split)
    loss = curvature.LossCurvature(qnns, split)
    return lambda: loss.hessian @ loss.point


def _made_up(config: RunConfig, count: int) -> data.Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, config.image_size, config.image_size, generator=generator)
    return data.Split(images, torch.arange(count) % config.n_classes)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def stage_seconds(config: RunConfig, stage: str, parameters: dict, costs: dict[str, Cost]) -> float:
    """About how long a stage of a run takes, by the operations that it is made of."""
    declared = STAGES[stage]
    values = declared.own_values(parameters)
    return NOTEBOOK_SECONDS + declared.cost(config, values, lambda name, images: costs[name].seconds(config, images))


def estimate(
    pending: Iterable[tuple[RunConfig, str]], parameters: dict, threads: int, device: torch.device
) -> dict[tuple[str, str], float]:
    """Seconds of each pending stage, by run id and stage, as measured now on this machine with so many threads."""
    pending, before = list(pending), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        costs = {n: calibrate(n, device) for n in {config.n_qubits for config, _ in pending}}
    finally:
        torch.set_num_threads(before)
    return {
        (config.run_id, stage): stage_seconds(config, stage, parameters, costs[config.n_qubits])
        for config, stage in pending
    }


class Remaining:
    """What is left of some runs: stages, and time as estimated, corrected by what the finished ones took.

    ``seconds`` are those of `estimate`, ``workers`` the runs at a time.
    """

    def __init__(self, seconds: dict[tuple[str, str], float], workers: int):
        self.left, self.workers, self.total = dict(seconds), workers, len(seconds)
        self.expected = self.taken = 0.0

    def seconds(self) -> float:
        """To go: the stages left, shared out, but no less than the longest run takes one after the other."""
        runs: dict[str, float] = {}
        for (run_id, _), seconds in self.left.items():
            runs[run_id] = runs.get(run_id, 0.0) + seconds
        pace = self.taken / self.expected if self.expected else 1.0
        return pace * max(sum(runs.values()) / self.workers, max(runs.values(), default=0.0))

    def finish(self, run_id: str, stage: str, seconds: float) -> str:
        """Take a stage off the list; a line that says what is left."""
        self.expected += self.left.pop((run_id, stage), 0.0)
        self.taken += seconds
        done = f"{self.total - len(self.left)} of {self.total} stages"
        left = f", about {duration(self.seconds())} left" if self.left else ""
        return f"{run_id}: {stage} done in {duration(seconds)}; {done}{left}"

    def drop(self, run_id: str) -> None:
        """A run that failed or is computed elsewhere: its stages are no longer waited for."""
        kept = {key: value for key, value in self.left.items() if key[0] != run_id}
        self.total -= len(self.left) - len(kept)
        self.left = kept


def duration(seconds: float) -> str:
    """A time in words that fit its size, such as '2 h 10 min'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(round(seconds / 600) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
