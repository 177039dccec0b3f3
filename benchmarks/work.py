"""The work that is measured: models, digits, and the sizes of a full and of a small run."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from qpatch.config import RunConfig, valid_strides
from qpatch.data import Split, load_dataset
from qpatch.model.qnn import PatchQNN

IMAGE_SIZE = RunConfig.image_size
ALL_CLASSES = 200  # images among which, at the beginning of either file, every digit is


@dataclass(frozen=True)
class Sizes:
    """What a run of the benchmarks measures.

    Attributes:
        n_qubits: of every part but the scaling with qubits.
        shallow, deep: depths of the comparison and of the step.
        batch: images of a step.
        many_images: of an evaluation over a whole training set.
        strides: few patches (all parts), many patches (the step).
        few_images: that simulators which take the whole batch too slowly are measured on, by name.
        rival_seconds: that one of them may take in one case, with all that it compiles.
        rounds: in which the tasks of a part take turns.
        slice_seconds: for which a quick task is repeated in its turn.
        scaling: sizes along each axis; patches are given by their strides.
        memory_depths: depths of a step whose peak memory is measured.
        process_numbers: of processes that share a step and a product; one and two among them.
        process_repeats: of each.
    """

    n_qubits: int
    shallow: int
    deep: int
    batch: int
    many_images: int
    strides: tuple[int, int]
    few_images: dict[str, int]
    rival_seconds: float
    rounds: int
    slice_seconds: float
    scaling: dict[str, tuple[int, ...]]
    memory_depths: tuple[int, ...]
    process_numbers: tuple[int, ...]
    process_repeats: int


FULL = Sizes(
    n_qubits=8,
    shallow=50,
    deep=200,
    batch=1000,
    many_images=60_000,
    strides=(6, 2),
    few_images={"PennyLane default": 100, "Qulacs": 20, "PennyLane lightning": 2},
    rival_seconds=150.0,
    rounds=3,
    slice_seconds=1.0,
    scaling={
        "depth": (25, 50, 100, 200, 400),
        "stride": (6, 3, 2, 1),
        "batch": (100, 300, 1000, 3000, 10_000),
        "n_qubits": (2, 4, 6, 8, 10),
    },
    memory_depths=(50, 100, 200, 400),
    process_numbers=(1, 2, 4),
    process_repeats=10,
)
QUICK = Sizes(
    n_qubits=8,
    shallow=50,
    deep=200,
    batch=1000,
    many_images=5000,
    strides=(6, 2),
    few_images=dict.fromkeys(("TorchQuantum", "PennyLane default", "Qulacs"), 5)
    | {"fastQML": 50, "scaluq": 20, "PennyLane lightning": 1},
    rival_seconds=25.0,
    rounds=3,
    slice_seconds=0.0,
    scaling={},
    memory_depths=(200,),
    process_numbers=(1, 2),
    process_repeats=3,
)
TINY = Sizes(
    n_qubits=4,
    shallow=1,
    deep=2,
    batch=8,
    many_images=40,
    strides=(10, 5),
    few_images={"Qulacs": 3, "PennyLane lightning": 2},
    rival_seconds=120.0,
    rounds=1,
    slice_seconds=0.0,
    scaling={"depth": (1, 2), "stride": (10, 5), "batch": (4, 8), "n_qubits": (2, 4)},
    memory_depths=(2,),
    process_numbers=(1, 2),
    process_repeats=1,
)


class OneQNN(RunConfig):
    """A single QNN whose patch is the whole image: less than the study's two patches a side, so no run of it."""

    def _check_stride(self):
        if self.image_size != self.n_qubits:
            raise ValueError(
                f"image_size is {self.image_size}; one QNN of {self.n_qubits} qubits takes {self.n_qubits}"
            )


def n_classes(n_qubits: int) -> int:
    """As many of the ten digits as the qubits can read out."""
    return min(RunConfig.n_classes, 2 * n_qubits)


def one_qnn(n_qubits: int, depth: int) -> OneQNN:
    return OneQNN(stride=1, depth=depth, n_qubits=n_qubits, n_classes=n_classes(n_qubits), image_size=n_qubits)


def many_qnns(n_qubits: int, depth: int, stride: int) -> RunConfig:
    """Patches of any stride: a pixel more or less unseen changes no time."""
    shape = {"n_qubits": n_qubits, "n_classes": n_classes(n_qubits), "allow_unseen": True}
    return RunConfig(stride=stride, depth=depth, **shape)


def random_model(config: RunConfig, device: torch.device) -> PatchQNN:
    """The engine's model at the configuration's initial angles, which are random."""
    return PatchQNN(config).to(device)


def digits(config: RunConfig, count: int, device: torch.device) -> Split:
    """The first training images, cropped to the middle where the configuration's images are smaller."""
    split = _load(config.n_qubits, config.n_classes, max(count + count % 2, ALL_CLASSES))
    margin = (IMAGE_SIZE - config.image_size) // 2
    inner = slice(margin, margin + config.image_size)
    return Split(split.images[:count, inner, inner].contiguous().to(device), split.labels[:count].to(device))


@functools.lru_cache(maxsize=4)
def _load(n_qubits, n_classes, count):
    stride = valid_strides(IMAGE_SIZE, n_qubits)[-1]
    size = {"n_train": count, "batch_size": count // 2, "n_test": ALL_CLASSES}
    return load_dataset(RunConfig(stride=stride, n_qubits=n_qubits, n_classes=n_classes, **size)).train
