"""How long a study will take on this machine: a few operations are timed, their costs scaled to every pending stage.

A step, an evaluation and a Hessian-vector product each cost, for every QNN, a share that grows with depth (the
unitaries that all images share) and one that grows with the images. Three measurements of each give both, and the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Dataset, Split
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer, evaluate
from qpatch.runs.notebooks import recorded_parameters
from qpatch.runs.spectra import expected_products

DEPTHS = (5, 45)
IMAGES = {"step": (100, 600), "evaluation": (200, 2200), "product": (100, 600)}
POWER_PRODUCTS = 15  # of a power iteration, as the stored runs had
SLICES_PRODUCTS = 200  # about, of the curvature on planes and along the path
NOTEBOOK_SECONDS = 8.0  # until a stage's notebook has begun to compute


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
    costs = {}
    for name, operation in (("step", _step), ("evaluation", _evaluation), ("product", _product)):

        def measure(depth: int, images: int, operation=operation) -> float:
            config = RunConfig(**four, depth=depth, n_train=2 * images, batch_size=images)
            work = operation(PatchQNN(config).to(device), _made_up(config, 2 * images), _made_up(config, images))
            work()  # compiles
            return min(_timed(work, device) for _ in range(3))

        costs[name] = fit_cost(measure, RunConfig(**four).n_patches, IMAGES[name])
    return costs


def _made_up(config: RunConfig, count: int) -> Split:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, config.image_size, config.image_size, generator=generator)
    return Split(images, torch.arange(count) % config.n_classes)


def _timed(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def _step(model: PatchQNN, train: Split, test: Split) -> Callable:
    steps = Trainer(model, Dataset(train, test))
    return lambda: next(steps.steps())


def _evaluation(model: PatchQNN, train: Split, test: Split) -> Callable:
    split = test.to(model.bias)
    return lambda: evaluate(model, split)


def _product(model: PatchQNN, train: Split, test: Split) -> Callable:
    curvature = LossCurvature(model, test)
    return lambda: curvature.hessian @ curvature.point


def stage_seconds(config: RunConfig, stage: str, parameters: dict, costs: dict[str, Cost]) -> float:
    """About how long a stage of a run takes, by the operations that it is made of."""
    values = recorded_parameters(stage, parameters)
    evaluation = costs["evaluation"].seconds(config, config.n_train)
    if stage == "train":
        step = costs["step"].seconds(config, config.batch_size)
        testing = costs["evaluation"].seconds(config, config.n_test)
        seconds = config.epochs * (config.n_batches * step + evaluation + testing)
    elif stage == "hessian":
        images = min(values.get("subset") or config.n_train, config.n_train)
        seconds = POWER_PRODUCTS * costs["product"].seconds(config, images)
    elif stage == "landscape":
        seconds = values["n_points"] ** 2 * evaluation
    elif stage == "slices":
        images = min(values["n_images"] or config.n_train, config.n_train)
        grids = 4 * values["n_points"] ** 2 * costs["evaluation"].seconds(config, images)
        seconds = grids + SLICES_PRODUCTS * costs["product"].seconds(config, images)
    else:
        products = expected_products(config, *(values[name] for name in ("k", "steps", "probes", "blocks")))
        images = min(values["n_images"] or config.n_train, config.n_train)
        seconds = products * costs["product"].seconds(config, images)
    return NOTEBOOK_SECONDS + seconds


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


def duration(seconds: float) -> str:
    """A time in words that fit its size, such as '2 h 10 min'."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(round(seconds / 600) * 10, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
