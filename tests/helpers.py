"""Small data sets, small runs and other processes for the tests."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from qpatch.config import RunConfig
from qpatch.idx import FILES
from qpatch.runs.stages.flatness import epochs_wanted
from qpatch.runs.store import RunFolder

REPOSITORY = Path(__file__).resolve().parents[1]

# Trains in a second, on the data set of `write_idx_set`.
TINY = RunConfig(
    **{"stride": 4, "depth": 1, "dataset": "shapes", "n_qubits": 4, "n_classes": 3, "image_size": 8},
    **{"n_train": 60, "n_test": 30, "batch_size": 20, "epochs": 4},
)
MACHINE = {"device": "cpu", "name": "test", "threads": 1, "torch": torch.__version__}


# -- data sets ----------------------------------------------------------------------------------------------------


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes: two zeros, type 8, rank, big-endian sizes, contents."""
    sizes = np.array(array.shape, ">u4").tobytes()
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def write_idx_set(folder: Path, n_train: int = 80, n_test: int = 40, side: int = 28) -> Path:
    """Four packed IDX files of noise with a bright square, at one place a label (0 to 3)."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    for split, count in (("train", n_train), ("test", n_test)):
        labels = np.arange(count) % 4
        images = random.integers(0, 60, (count, side, side))
        for image, label in zip(images, labels, strict=True):
            top, left = 14 * (label // 2), 14 * (label % 2)
            image[top : top + 10, left : left + 10] += 180
        for name, array in ((f"{split}_images", images), (f"{split}_labels", labels)):
            (folder / f"{FILES[name]}.gz").write_bytes(gzip.compress(idx_bytes(array), 1))
    return folder


# -- stored runs --------------------------------------------------------------------------------------------------


def store_training(
    config: RunConfig, losses: list[float], shift: float = 0.0, root: Path | None = None, parameters: dict | None = None
) -> RunFolder:
    """A training stage with these training losses, from the initial point on, and made-up parameters."""
    run = RunFolder(config, root)
    epochs = range(-1, len(losses) - 1)
    swing = (1 + np.cos(np.pi * np.arange(len(losses) - 1) / config.cosine_period)) / 2
    rates = [0.0, *(config.learning_rate * swing)]
    history = pd.DataFrame({"epoch": epochs, "learning_rate": rates, "train_loss": losses, "train_accuracy": 0.5})
    run.write_csv("history.csv", history.assign(test_loss=history["train_loss"] + 1, test_accuracy=0.4, seconds=1.0))
    steps = itertools.product(range(config.epochs), range(config.n_batches))
    iterations = pd.DataFrame(steps, columns=["epoch", "iteration"])
    run.write_csv("iterations.csv", iterations.assign(loss=2.0, accuracy=0.1))
    steps = torch.arange(config.n_angles, dtype=torch.float32) + shift
    trajectory = torch.stack([torch.sin(steps * (row + 1)) for row in range(len(losses))])
    best = losses.index(min(losses))
    angles = trajectory[best].reshape(config.n_patches, -1)
    run.write_tensors("best.safetensors", {"angles": angles, "bias": torch.zeros(config.image_size, config.image_size)})
    run.write_tensors("trajectory.safetensors", {"angles": trajectory})
    run.write_record("train", parameters or {}, 1.0, MACHINE, best_epoch=best - 1)
    return run


def store_hessian(run: RunFolder, estimates: list[float], parameters: dict | None = None) -> None:
    run.write_csv("eigenvalue.csv", pd.DataFrame({"estimate": estimates}))
    changes = [abs(new / old - 1) for old, new in itertools.pairwise(estimates)]
    converged = bool(changes) and changes[-1] < 1e-3
    value = estimates[-2] if converged else estimates[-1]
    run.write_record("hessian", parameters or {}, 1.0, MACHINE, lambda_max=value, converged=converged)


def store_landscape(run: RunFolder, x: list[float], y: list[float], loss: np.ndarray) -> None:
    columns, rows = np.meshgrid(x, y)
    run.write_csv("landscape.csv", pd.DataFrame({"x": columns.ravel(), "y": rows.ravel(), "loss": loss.ravel()}))
    epochs, best = np.arange(-1, run.config.epochs), run.record("train")["best_epoch"]
    path = {"x": 2.0 * (epochs - best), "y": 1.0 * (best - epochs)}  # from which a ratio of variances of four
    run.write_csv("trajectory.csv", pd.DataFrame({"epoch": epochs, **path}))
    n_angles = run.config.n_angles
    run.write_tensors("plane.safetensors", {"mean": torch.zeros(n_angles), "components": torch.eye(2, n_angles)})
    run.write_record("landscape", {}, 1.0, MACHINE, ratios=[0.75, 0.1875], best_epoch=best)


def store_spectrum(run: RunFolder, parameters: dict | None = None) -> None:
    ends = {"end": ["largest", "largest", "smallest"], "rank": [1, 2, 1], "eigenvalue": [4.0, 1.0, -0.5]}
    run.write_csv("eigenvalues.csv", pd.DataFrame(ends).assign(residual=1e-5))
    run.write_csv(
        "density.csv", pd.DataFrame({"probe": 0, "node": [-0.5, 0.0, 4.0], "weight": [0.1, 0.8, 0.1], "residual": 0.1})
    )
    values = {"lambda_max": 4.0, "lambda_min": -0.5, "outliers": 0, "participation": {"QNN 1": 0.9, "bias": 0.1}}
    values |= {"block_lambda_max": {"QNN 1": 3.0, "bias": 1.0}, "power_iteration": 4.0, "gauss_newton_lambda_max": 4.0}
    values |= {"trace": 0.35 * run.config.n_trainable, **dict.fromkeys(("trace_error", "gauss_newton_share"), 0.5)}
    values |= {
        "within_blocks": 0.5,
        "logit_overlap": 0.5,
        "logit_overlap_random": 0.1,
        "products": {"density": 3},
        "images_used": 60,
    }
    run.write_record("spectrum", parameters or {}, 1.0, MACHINE, **values)


def store_slices(run: RunFolder, parameters: dict | None = None) -> None:
    """One plane of nine losses, and one line whose barrier is 1."""
    axis, path = [-1.0, 0.0, 1.0], np.arange(-1, run.config.epochs) - run.record("train")["best_epoch"]
    columns, rows = np.meshgrid(axis, axis)
    grid = {"plane": "principal", "x": columns.ravel(), "y": rows.ravel(), "loss": np.arange(9.0)}
    run.write_csv("planes.csv", pd.DataFrame(grid))
    run.write_csv("paths.csv", pd.DataFrame({"plane": "principal", "x": path / 10, "y": 0.0}))
    line = {"line": "epoch -1 to 2", "t": [0.0, 0.5, 1.0], "loss": [2.0, 2.5, 1.0]}
    run.write_csv("lines.csv", pd.DataFrame(line))
    shares = {
        "ratios": [0.7, 0.2],
        "hessian": [[1, 0], [0, 1]],
        "of_trace": 0.1,
        "of_trace_error": 0.01,
        "of_most": 0.5,
    }
    values = {"planes": {"principal": shares}, "images_used": 60}
    values |= {"lines": {"epoch -1 to 2": {"length": 2.0, "barrier": 1.0, "peak": 0.5}}}
    values |= {"along": [{"epoch": -1, "lambda_max": 9.0, "gauss_newton_share": 0.5}]}
    run.write_record("slices", parameters or {"n_points": 3}, 1.0, MACHINE, **values)


def store_flatness(run: RunFolder, parameters: dict | None = None) -> None:
    parameters = {"loss": 0.04, "n_images": 60, "start_seed": 0} | (parameters or {})
    values = {f"{name}_{what}": 1.0 for name in ("hessian", "gauss_newton") for what in ("max", "trace", "error")}
    epochs = epochs_wanted(run, parameters["loss"])
    run.write_csv("flatness.csv", pd.DataFrame({"epoch": epochs} | values))
    run.write_record("flatness", parameters, 1.0, MACHINE, images_used=60)


def flip_byte(file: Path, position: int = -1) -> None:
    contents = bytearray(file.read_bytes())
    contents[position] ^= 0xFF
    file.write_bytes(contents)


# -- other processes ----------------------------------------------------------------------------------------------


def start_python(script: str) -> subprocess.Popen:
    """Another Python process, on one thread, that finds the package, the tests' helpers and the same folders."""
    path = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@contextlib.contextmanager
def held_by_another_process(config: RunConfig, lock: str) -> Iterator[subprocess.Popen]:
    """Within the block another process, which is yielded, holds a lock of the run."""
    script = f"""
from qpatch.config import RunConfig
from qpatch.runs.stages.flatness import epochs_wanted
from qpatch.runs.store import RunFolder
with RunFolder(RunConfig.from_dict({config.to_dict()})).locked({lock!r}):
    print("held", flush=True)
    input()
"""
    with start_python(script) as process:
        try:
            assert process.stdout.readline() == "held\n", process.stderr.read()
            yield process
        finally:
            process.kill()
