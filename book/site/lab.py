"""What the page "Train one here" needs from the package: its digits, and numbers that its engine is held against.

The page trains patch QNNs of four qubits in the browser (`book/_static/lab`); only its static twin is computed here.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.sparse.linalg import LinearOperator, eigsh

from book.show import plots
from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import power_iteration
from qpatch.data import Dataset, Split, data_folder, pool, stratified_batches
from qpatch.files import write_atomically
from qpatch.idx import read_raw
from qpatch.model.flat import flat_parameters, follow, move_to
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Epoch, Trainer, evaluate

IMAGE_SIZE, N_QUBITS, N_DIGITS = 8, 4, 10
PER_DIGIT = {"train": 60, "test": 30}
WINDOW = 16  # pixels that pooling averages, so that their sums are whole numbers
RADIANS = 2 * np.pi / (255 * N_QUBITS * WINDOW)  # of one unit of such a sum
# Stride, depth, number of digits, scale: one of each number of patches, odd and even numbers of classes.
REFERENCES = ((4, 4, 4, 100.0), (2, 2, 3, 25.0), (1, 1, 8, 100.0))
EPOCHS, BATCHES, PER_BATCH = 2, 5, 2  # ten training steps, with so many images of each digit


def ink(name: str) -> np.ndarray:
    """The first images of each digit in a split, 'train' or 'test', pooled: ``(10, images, 8, 8)`` whole numbers.

    A unit is `RADIANS` of the model's features, so white is 0 and full ink 4,080 units or pi / 2.
    """
    folder = data_folder("mnist")
    images, labels = (read_raw(folder, f"{name}_{part}") for part in ("images", "labels"))
    chosen = np.stack([np.flatnonzero(labels == digit)[: PER_DIGIT[name]] for digit in range(N_DIGITS)])
    pooled = pool(torch.from_numpy(images[chosen.ravel()]).double(), IMAGE_SIZE).numpy() * WINDOW
    return pooled.reshape(*chosen.shape, IMAGE_SIZE, IMAGE_SIZE).astype(np.uint16)


def digits_script() -> str:
    """A script that gives pages the digits: two bytes a pixel, digit after digit, in base64."""
    pixels = {name: base64.b64encode(ink(name).astype("<u2").tobytes()).decode() for name in PER_DIGIT}
    return f"window.qpatchDigits = {json.dumps({'radians': RADIANS, 'perDigit': PER_DIGIT, **pixels})};\n"


def split_of(name: str, digits: int, count: int) -> Split:
    """The first ``count`` images of each of the digits from 0 on, digit after digit, in float64 radians."""
    images = torch.from_numpy(ink(name)[:digits, :count].astype(np.float64) * RADIANS)
    return Split(images.flatten(0, 1), torch.arange(digits).repeat_interleave(count))


def config_of(stride: int, depth: int, digits: int, scale: float, count: int, batches: int, epochs: int) -> RunConfig:
    """A run of the page's size on ``count`` images of each digit."""
    return RunConfig(
        stride=stride, depth=depth, n_classes=digits, scale=scale, epochs=epochs, n_train=digits * count,
        batch_size=digits * count // batches, n_test=digits, n_qubits=N_QUBITS, image_size=IMAGE_SIZE,
    )  # fmt: skip


def references() -> list[dict]:
    """What the package computes in float64 for each of `REFERENCES`; see `reference`."""
    with _one_thread():
        return [reference(*choice) for choice in REFERENCES]


@contextmanager
def _one_thread() -> Iterator[None]:
    """In steps this small threads would mostly wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def reference(stride: int, depth: int, digits: int, scale: float) -> dict:
    """Numbers of one model: at a point with a bias, logits to curvature; from the seed's start, ten training steps."""
    config = config_of(stride, depth, digits, scale, BATCHES * PER_BATCH, BATCHES, EPOCHS)
    split = split_of("train", digits, BATCHES * PER_BATCH)
    model = PatchQNN(config).double()
    initial = flat_parameters(model)
    random = np.random.default_rng(0)
    point = initial + np.where(np.arange(config.n_trainable) < config.n_angles, 0, 0.1) * random.normal(
        size=len(initial)
    )
    move_to(model, point)
    curvature, direction = LossCurvature(model, split), random.normal(size=len(point))
    hessian = LinearOperator(
        curvature.hessian.shape,
        lambda vector: (curvature.hessian @ torch.from_numpy(vector.ravel())).numpy(),
        dtype=float,
    )
    numbers = {
        "point": point,
        "logits": model(split.images).detach().numpy().ravel(),
        "loss": evaluate(model, split)[0],
        "gradient": curvature.gradient().numpy(),
        "direction": direction,
        "product": hessian.matvec(direction),
        "eigenvalue": eigsh(hessian, k=1, which="LA", v0=direction, tol=1e-9)[0][0],
    }
    move_to(model, initial)
    return {
        "model": {"stride": stride, "depth": depth, "classes": digits, "scale": scale},
        "seed": config.seed,
        "rate": config.learning_rate,
        "initial": initial.tolist(),
        "images": split.images.numpy().ravel().tolist(),
        "labels": split.labels.tolist(),
        "batches": [[batch.tolist() for batch in stratified_batches(split.labels, config, e)] for e in range(EPOCHS)],
    } | {name: np.asarray(value).tolist() for name, value in (numbers | _trained(model, split)).items()}


def _trained(model: PatchQNN, split: Split) -> dict:
    """The loss after each epoch, the initial one first, and the parameters after the last."""
    history, path = follow(Trainer(model, Dataset(train=split, test=split)), EPOCHS)
    return {"losses": [epoch.train_loss for epoch in history], "trained": path[-1]}


# -- what stands in the page's place where no script runs --------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """One model of the page's beginning, trained by the package: its history and its curvature at the end."""

    config: RunConfig
    history: list[Epoch]
    lambda_max: float


def examples(epochs: int = 15) -> list[Example]:
    """The page's first model, and that with the most patches beside it."""
    with _one_thread():
        return [_example(stride, epochs) for stride in (4, 1)]


def _example(stride: int, epochs: int) -> Example:
    config = config_of(stride, 2, 4, 100.0, PER_DIGIT["train"], 6, epochs)
    train, test = (split_of(name, 4, count) for name, count in PER_DIGIT.items())
    model = PatchQNN(config).double()
    history, _ = follow(Trainer(model, Dataset(train=train, test=test)), epochs)
    return Example(config, history, power_iteration(LossCurvature(model, train).hessian).eigenvalue)


def draw_examples(fig: Figure, found: list[Example]) -> Figure:
    """Loss and accuracy by epoch; solid for training images, dashed for test images."""
    for ax, quantity in zip(fig.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for example in found:
            patches = example.config.n_patches
            for split, style in (("train", "-"), ("test", "--")):
                values = [getattr(epoch, f"{split}_{quantity}") for epoch in example.history]
                kind = "training" if split == "train" else "test"
                label = f"{patches} patches, {kind}"
                ax.plot(range(len(values)), values, style, color=plots.patch_color(patches), label=label)
        ax.set(xlabel="epoch", ylabel=quantity, yscale="log" if quantity == "loss" else "linear")
    ax.legend(fontsize=8)
    return fig


def examples_table(found: list[Example]) -> pd.DataFrame:
    """How the examples end."""
    rows = [(example.config.n_patches, example.history[-1], example.lambda_max) for example in found]
    return pd.DataFrame(
        [
            (str(patches), f"{last.train_loss:.3f}", f"{last.test_loss:.3f}", f"{last.test_accuracy:.0%}", f"{top:.1f}")
            for patches, last, top in rows
        ],
        columns=["patches", "training loss", "test loss", "test accuracy", "largest eigenvalue"],
    )


def write_lab(static: Path) -> None:
    """Write the digits and the reference into a site's folder of static files."""
    write_atomically(static / "lab" / "digits.js", digits_script().encode())
    write_atomically(static / "lab" / "reference.json", json.dumps(references()).encode())
