"""The configuration of one run: every choice of the protocol, checked, with the paper's values as defaults."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
from dataclasses import dataclass

from qpatch import ansatz

# Initial learning rates of the author's published runs, by depth.
PAPER_LEARNING_RATES = {50: 1e-2, 100: 5e-3, 150: 2.5e-3, 200: 1e-3}
PAPER_STRIDES = (6, 3, 2)
PAPER_DEPTHS = tuple(PAPER_LEARNING_RATES)
LATER = ("allow_unseen", "network", "permutation")  # unknown to records of the first runs, which leave them out unset
NETWORKS, SEEDS = ("qnn", "perceptron"), ("seed", "permutation")


class ConfigError(ValueError):
    """A configuration that cannot be run; the message names the field, the value seen and what would be right."""


def default_learning_rate(depth: int) -> float:
    """The paper's initial learning rate at its depths, a geometric interpolation between, the nearest one's beyond."""
    depth = min(max(depth, PAPER_DEPTHS[0]), PAPER_DEPTHS[-1])
    for low, high in itertools.pairwise(PAPER_DEPTHS):
        if low < depth < high:
            rate_low, rate_high = PAPER_LEARNING_RATES[low], PAPER_LEARNING_RATES[high]
            return rate_low * (rate_high / rate_low) ** ((depth - low) / (high - low))
    return PAPER_LEARNING_RATES[depth]


def valid_strides(image_size: int, patch_size: int, allow_unseen: bool = False) -> tuple[int, ...]:
    """Strides that cut two patches a side or more and leave no pixel over, nor, unless allowed, unseen in between."""
    room = image_size - patch_size
    longest = room if allow_unseen else min(room, patch_size)
    return tuple(stride for stride in range(1, longest + 1) if room % stride == 0)


@dataclass(frozen=True)
class RunConfig:
    """One training run. ``RunConfig(stride=3, depth=100)`` is a complete run of the paper (section 3.1).

    A value of the wrong type or out of range raises `ConfigError`.

    Attributes:
        stride: pixels between neighbouring patches on the pooled image; the paper's 6, 3, 2 give 4, 9, 16 patches.
        depth: entangling blocks in each of the three stretches of a QNN.
        seed: of the initial angles (PyTorch) and of the mini-batches (NumPy).
        dataset: name of a folder of images and labels (see `qpatch.data.data_folder` and `qpatch.idx.read_split`).
        n_qubits: qubits of a QNN, even; patches have n_qubits x n_qubits pixels.
        n_classes: the labels 0 .. n_classes - 1 are kept; at most 2 n_qubits.
        image_size: side of the image after average pooling, in pixels; see `qpatch.data.pool` for what there can be.
        scale: factor between the mean of the QNNs' expectation values and the logits.
        epochs: passes over the training images.
        batch_size: images of a mini-batch; divides n_train.
        n_train, n_test: images used, the first ones of the files that carry a kept label.
        learning_rate: initial rate of Adam; None takes `default_learning_rate` of the depth.
        weight_decay: of Adam (an L2 term in the gradient).
        cosine_period: T_max of the cosine annealing, in epochs; the rate swings with twice this period.
        allow_unseen: a stride above the patch size, which leaves pixels that no patch sees; False where it leaves none.
        network: of each patch: "qnn", or "perceptron", a classical network of about as many parameters.
        permutation: seed of one permutation of the pixels, the same for all images, after which patches have no
            neighbourhood; None leaves the pixels where they are.
    """

    stride: int = 6
    depth: int = 50
    seed: int = 1001
    dataset: str = "mnist"
    n_qubits: int = 8
    n_classes: int = 10
    image_size: int = 14
    scale: float = 100.0
    epochs: int = 50
    batch_size: int = 1000
    n_train: int = 60_000
    n_test: int = 10_000
    learning_rate: float | None = None
    weight_decay: float = 5e-5
    cosine_period: int = 5
    allow_unseen: bool = False
    network: str = "qnn"
    permutation: int | None = None

    def __post_init__(self):
        self._check_types()
        if self.stride <= self.patch_size:
            object.__setattr__(self, "allow_unseen", False)  # one configuration has one run id
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", default_learning_rate(self.depth))
        self._check_ranges()
        self._check_stride()  # which benchmarks replace
        self._check_classes_and_batches()

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels: as many as qubits, since each qubit encodes n_qubits / 2 features twice."""
        return self.n_qubits

    @property
    def patches_per_side(self) -> int:
        return (self.image_size - self.patch_size) // self.stride + 1

    @property
    def n_patches(self) -> int:
        """Number of patches, which is the number of QNNs."""
        return self.patches_per_side**2

    @property
    def coverage(self) -> tuple[tuple[int, ...], ...]:
        """How many patches see each pixel, row by row: ``(image_size, image_size)``."""
        corners = range(0, self.patches_per_side * self.stride, self.stride)
        seen = [sum(0 <= pixel - corner < self.patch_size for corner in corners) for pixel in range(self.image_size)]
        return tuple(tuple(row * column for column in seen) for row in seen)

    @property
    def seen_share(self) -> float:
        """Share of the pixels that at least one patch sees; 1 unless `allow_unseen`."""
        return sum(count > 0 for row in self.coverage for count in row) / self.image_size**2

    @property
    def n_angles_per_qnn(self) -> int:
        """Angles of one QNN, or parameters of the perceptron in its place."""
        if self.network == "perceptron":
            return self.n_hidden * (self.n_qubits**2 + 1 + self.n_classes) + self.n_classes
        return ansatz.n_angles(self.n_qubits, self.depth)

    @property
    def n_hidden(self) -> int:
        """Hidden units with which a perceptron comes nearest to a QNN of this depth in its number of parameters."""
        inputs, outputs = self.n_qubits**2, self.n_classes
        return max(1, round((ansatz.n_angles(self.n_qubits, self.depth) - outputs) / (inputs + 1 + outputs)))

    @property
    def n_angles(self) -> int:
        """Angles of all QNNs together: the 'number of parameters' of the paper's tables."""
        return self.n_patches * self.n_angles_per_qnn

    @property
    def n_trainable(self) -> int:
        """All trainable parameters: the angles, then the bias of every pixel."""
        return self.n_angles + self.image_size**2

    @property
    def n_batches(self) -> int:
        """Mini-batches, and so optimiser steps, of an epoch."""
        return self.n_train // self.batch_size

    @property
    def run_id(self) -> str:
        """Name of the run's results, such as ``mnist-s6-d050-seed1001``.

        A run that departs from the paper's protocol elsewhere carries its qubit number, if not 8, and a digest.
        """
        qubits = f"q{self.n_qubits}-" if self.n_qubits != 8 else ""
        name = f"{self.dataset}-{qubits}s{self.stride}-d{self.depth:03d}-seed{self.seed}"
        named = {"stride", "depth", "seed", "dataset", "n_qubits"}
        departures = {key: value for key, value in self._departures().items() if key not in named}
        if not departures:
            return name
        digest = hashlib.sha256(json.dumps(departures, sort_keys=True).encode()).hexdigest()[:8]
        return f"{name}-{digest}"

    @property
    def command_options(self) -> str:
        """The options of ``qpatch run`` that name this run: stride, depth, and what departs from the paper."""
        departures = [f" -p {name}={value}" for name, value in self._departures().items() if name != "stride"]
        return f"--stride {self.stride} --depth {self.depth}" + "".join(departures)

    def _departures(self) -> dict:
        """The fields that are not as in the paper's run of this depth."""
        paper = RunConfig(depth=self.depth).to_dict()
        return {name: value for name, value in self.to_dict().items() if value != paper.get(name)}

    @property
    def is_paper_run(self) -> bool:
        """Whether this is one of the paper's twelve configurations, on its protocol and seed."""
        of_paper = self.stride in PAPER_STRIDES and self.depth in PAPER_DEPTHS
        return of_paper and self == RunConfig(stride=self.stride, depth=self.depth)

    def to_dict(self) -> dict:
        """All fields, as records hold them."""
        values = dataclasses.asdict(self).items()
        return {name: value for name, value in values if name not in LATER or value != getattr(RunConfig, name)}

    @classmethod
    def from_dict(cls, values: dict) -> RunConfig:
        """The configuration with these values; an unknown name is an error."""
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            known = ", ".join(field.name for field in dataclasses.fields(cls))
            raise ConfigError(f"unknown configuration field {unknown[0]!r}; the fields are {known}")
        return cls(**values)

    def replace(self, **changes) -> RunConfig:
        """A copy with some fields changed; the learning rate follows the depth unless it had been set by hand."""
        values = self.to_dict()
        if self.learning_rate == default_learning_rate(self.depth):
            values["learning_rate"] = None
        return RunConfig.from_dict(values | changes)

    def _check_types(self):
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), field.type.removesuffix(" | None")
            if value is None and kind != field.type:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            valid, wanted = {
                "str": (
                    isinstance(value, str) and re.fullmatch(r"[a-z0-9_]+", value),
                    "a name of lower-case letters, digits and underscores",
                ),
                "bool": (isinstance(value, bool), "True or False"),
                "int": (number and isinstance(value, int), "a whole number"),
                "float": (number and abs(value) < float("inf"), "a finite number"),
            }[kind]
            if not valid:
                raise ConfigError(f"{field.name} is {value!r}; it must be {wanted}")
            if kind == "float":
                object.__setattr__(self, field.name, float(value))  # equal configurations have equal run ids

    def _check_ranges(self):
        ranges = [
            ("n_qubits", self.n_qubits >= 2 and self.n_qubits % 2 == 0, "be even and at least 2, the paper's is 8"),
            ("depth", self.depth >= 1, "be at least 1, the paper's are 50, 100, 150 and 200"),
            ("network", self.network in NETWORKS, f"be {' or '.join(NETWORKS)}"),
            *((name, 0 <= (getattr(self, name) or 0) < 2**32, "lie between 0 and 4294967295") for name in SEEDS),
            ("scale", self.scale > 0, "be positive, the paper's is 100"),
            ("weight_decay", 0 <= self.weight_decay <= 1, "lie between 0 and 1, the paper's is 5e-5"),
            ("learning_rate", self.learning_rate > 0, "be positive, the paper's is 0.01 to 0.001"),
        ]
        counts = ("epochs", "batch_size", "n_train", "n_test", "cosine_period")
        for name, valid, wanted in [*ranges, *((name, getattr(self, name) >= 1, "be at least 1") for name in counts)]:
            if not valid:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must {wanted}")

    def _check_stride(self):
        strides = valid_strides(self.image_size, self.patch_size, self.allow_unseen)
        if self.stride in strides:
            return
        if not strides:
            raise ConfigError(
                f"image_size {self.image_size} leaves no room for two patches of {self.patch_size} pixels a side;"
                f" use larger images or fewer qubits"
            )
        *most, last = map(str, strides)
        allowed = f"{', '.join(most)} or {last}" if most else last
        if self.stride in valid_strides(self.image_size, self.patch_size, allow_unseen=True):
            pixels = self.image_size**2
            raise ConfigError(
                f"stride {self.stride} leaves {round((1 - self.seen_share) * pixels)} of {pixels} pixels unseen by any"
                f" {self.patch_size}-pixel patch; use {allowed}, or say allow_unseen=True"
            )
        raise ConfigError(
            f"stride {self.stride} does not tile {self.image_size} pixels with {self.patch_size}-pixel patches;"
            f" use {allowed}"
        )

    def _check_classes_and_batches(self):
        if not 2 <= self.n_classes <= 2 * self.n_qubits:
            raise ConfigError(
                f"n_classes is {self.n_classes}; {self.n_qubits} qubits read out 2 to {2 * self.n_qubits} classes"
                f" (an X and a Z expectation value a qubit)"
            )
        if self.n_train % self.batch_size or self.n_train < 2 * self.batch_size:
            raise ConfigError(
                f"batch_size {self.batch_size} does not cut n_train {self.n_train} into two or more equal batches;"
                f" use a smaller divisor of {self.n_train}"
            )


def size_label(n_patches: int, depth: int) -> str:
    """What tells configurations of the paper apart."""
    return f"{n_patches:.0f} patches, depth {depth:.0f}"


def run_label(config: RunConfig) -> str:
    """A configuration's name for people, such as "4 patches, depth 50"."""
    return size_label(config.n_patches, config.depth)
