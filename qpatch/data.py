"""Digits as the study uses them: read, pooled and scaled pixels, stratified mini-batches (section 3.1)."""

from __future__ import annotations

import hashlib
import itertools
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lazy_loader

from qpatch.config import RunConfig
from qpatch.files import in_project
from qpatch.idx import DataError, read_split

np, torch = (lazy_loader.load(name) for name in ("numpy", "torch"))


@dataclass(frozen=True)
class Split:
    """Images ``(n, size, size)`` float32, pooled and in radians, and their labels ``(n,)`` int64.

    Arrays and other floating-point or whole-number types are taken as well; other contents are a ValueError.
    """

    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self):
        images, labels = (torch.as_tensor(values) for values in (self.images, self.labels))
        if not images.is_floating_point() or labels.is_floating_point() or labels.shape != images.shape[:1]:
            seen = (f"{tuple(values.shape)} of {values.dtype}" for values in (images, labels))
            raise ValueError(
                "images {} and labels {}; give radians (n, size, size) and whole numbers (n,)".format(*seen)
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.long())

    def __len__(self):
        return len(self.labels)

    def to(self, like: torch.Tensor) -> Split:
        """The same images in the dtype and on the device of another tensor."""
        return Split(self.images.to(like), self.labels.to(like.device))


@dataclass(frozen=True)
class Dataset:
    train: Split
    test: Split

    def digest(self) -> str:
        """SHA-256 of all images and labels, as they are used: what a run's stages have in common."""
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            for values in (split.images, split.labels):
                digest.update(values.cpu().contiguous().numpy().data)
        return digest.hexdigest()


def data_folder(dataset: str) -> Path:
    """Folder of a data set's files: ``$QPATCH_DATA/<dataset>`` where that variable is set, else ``data/<dataset>``."""
    return Path(os.path.expanduser(os.environ.get("QPATCH_DATA") or in_project("data"))) / dataset


def load_dataset(config: RunConfig, folder: Path | str | None = None) -> Dataset:
    """The images that a run uses: the first ``n_train`` and ``n_test`` whose label is below ``n_classes``.

    Pixels are scaled by 2 pi / (255 n_qubits), so that angles lie in [0, pi/4] for eight qubits, then averaged as
    `pool` says: over 2 x 2 windows for the paper's 14 x 14 pixels. With a ``permutation`` pixel i of every image then
    becomes the old pixel ``numpy.random.RandomState(permutation).permutation(image_size^2)[i]``. The files, read by
    `qpatch.idx.read_split`, are in ``folder`` or `data_folder`.

    Raises:
        DataError: a file is missing, damaged, or (for the data set ``mnist``) not the canonical one; images that do not
            pool to ``image_size``, or of pixels from 0 to 1; too few images, or none of a class.
    """
    return Dataset(train=load_split(config, "train", folder), test=load_split(config, "test", folder))


def load_split(config: RunConfig, name: str, folder: Path | str | None = None) -> Split:
    """One of a run's splits alone, 'train' or 'test', as `load_dataset` reads it; the test images load much faster."""
    folder = Path(folder) if folder is not None else data_folder(config.dataset)
    images, labels = read_split(folder, name, config.dataset)
    labels = labels[:, 0] if labels.ndim == 2 and labels.size else labels  # QMNIST says more of a digit after its class
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        given = f"images of shape {images.shape} with labels of shape {labels.shape}"
        raise DataError(
            f"{folder}: {given}; give grey ones (n, side, side), colours averaged, with as many labels (n,)"
        )
    count = getattr(config, f"n_{name}")
    kept = np.flatnonzero((labels >= 0) & (labels < config.n_classes))[:count]
    if len(kept) < count:
        raise DataError(f"{folder}: {len(kept)} images carry a label below {config.n_classes}; {count} were asked for")
    pixels = torch.from_numpy(images[kept].astype(np.float32)) * (2 * torch.pi / (255 * config.n_qubits))
    try:
        _check_classes(labels[kept], config, name)
        _check_pixels(images[kept])
        pooled = pool(pixels, config.image_size)
    except DataError as error:
        raise DataError(f"{folder}, {name}, labels {labels.min()} to {labels.max()}: {error}") from None
    if config.permutation is not None:
        order = np.random.RandomState(config.permutation).permutation(config.image_size**2)
        pooled = pooled.flatten(1)[:, order].reshape(pooled.shape)
    return Split(pooled, torch.from_numpy(labels[kept].astype(np.int64)))


def _check_classes(labels: np.ndarray, config: RunConfig, name: str) -> None:
    """Refuse kept labels ``(n,)`` without one of the classes, if they could have all, or unfit for mini-batches."""
    counts = np.bincount(labels, minlength=config.n_classes)
    if len(labels) >= config.n_classes and not counts.all():
        raise DataError(
            f"of the {len(labels)} images used none is of class {counts.argmin()} of 0 to {config.n_classes - 1};"
            f" number the labels from 0, mix sorted images, use more of them (n_{name}), or fewer classes (n_classes)"
        )
    if name == "train":
        _check_batches(labels, config)


def _check_batches(labels: np.ndarray, config: RunConfig) -> None:
    if (most := np.bincount(labels).max()) < config.n_batches:
        raise DataError(
            f"no class has more than {most} images, which {config.n_batches} batches cannot share; use a batch_size"
            f" of {-(-len(labels) // most)} or more"
        )


def _check_pixels(images: np.ndarray) -> None:
    """Refuse bytes of no more than one step in brightness: floats from 0 (or -1) to 1 that were cast."""
    if not images.any() or ((images == 1).any() and not ((images > 1) & (images < 255)).any()):
        raise DataError(
            f"all pixels are {' or '.join(map(str, np.unique(images)))}, of 0 to 255, as of images from 0 to 1 that"
            f" were cast to bytes; multiply these by 255 first"
        )


def pooling(side: int, image_size: int) -> tuple[int, int] | None:
    """Side p of the averaging window, and pixels of zero padding at each edge, that bring ``side`` to ``image_size``.

    p is the smallest whose windows cover the image; what is missing is padded, alike on both sides and by half a window
    at most. None where that cannot be. 28 pixels become 14 by (2, 0), and 8 by (4, 2).
    """
    window = -(-side // image_size)
    padding, odd = divmod(window * image_size - side, 2)
    return None if odd or padding > window // 2 else (window, padding)


def pool(images: torch.Tensor, image_size: int) -> torch.Tensor:
    """Square images ``(n, side, side)`` padded and averaged to ``(n, image_size, image_size)`` as `pooling` says."""
    height, side = images.shape[1:]
    found = pooling(side, image_size) if height == side else None
    if found is None:
        sizes = [str(size) for size in range(side, 1, -1) if pooling(side, size)] if height == side else []
        remedy = f"use an image_size of {', '.join(sizes)}" if sizes else "square images are needed"
        raise DataError(f"images of {height} x {side} pixels do not pool to {image_size} x {image_size}; {remedy}")
    window, padding = found
    return torch.nn.functional.avg_pool2d(images.unsqueeze(1), window, padding=padding).squeeze(1)


def epoch_seeds(config: RunConfig) -> np.ndarray:
    """Random state of each epoch's shuffling, from NumPy's generator seeded with ``config.seed``: ``(epochs,)``."""
    return np.random.RandomState(config.seed).randint(0, 1 << 32, size=config.epochs, dtype=np.int64)


def stratified_batches(labels: torch.Tensor, config: RunConfig, epoch: int) -> Iterator[torch.Tensor]:
    """Indices of an epoch's mini-batches ``(batch_size,)``: scikit-learn's test folds by the epoch's random state.

    A class of fewer images than there are batches is in some of them only; no class with one for each is a DataError.
    """
    from sklearn.model_selection import StratifiedKFold  # half of what importing this package would cost

    labels = labels.cpu().numpy()
    _check_batches(labels, config)
    folds = StratifiedKFold(config.n_batches, shuffle=True, random_state=int(epoch_seeds(config)[epoch]))
    parts = folds.split(np.zeros(len(labels)), labels)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of such a class, at the first
        first = next(parts)
    for _, indices in itertools.chain([first], parts):
        yield torch.from_numpy(indices)


def stratified_subset(split: Split, n_images: int, seed: int = 0) -> Split:
    """``n_images`` of a split at random, the classes in proportion; all of them for 0, or where there are no more.

    Fewer images than classes, in the subset or left over, or a class of one image, cannot be shared out: DataError.
    """
    from sklearn.model_selection import train_test_split

    if n_images == 0 or n_images >= len(split):
        return split
    classes, counts = split.labels.unique(return_counts=True)
    if counts.min() < 2:
        raise DataError(f"class {classes[counts.argmin()]} has one image, which subset and rest cannot share; take all")
    if problem := subset_problem(n_images, len(split), len(classes)):
        raise DataError(problem)
    labels = split.labels.cpu().numpy()
    indices, _ = train_test_split(np.arange(len(split)), train_size=n_images, stratify=labels, random_state=seed)
    chosen = torch.from_numpy(np.sort(indices))
    return Split(split.images[chosen], split.labels[chosen])


def subset_problem(n_images: int, n_all: int, n_classes: int) -> str:
    """Why a subset and the rest of all images cannot both have all classes; empty where they can, or nothing rests."""
    if not 0 < n_images < n_all or n_classes <= n_images <= n_all - n_classes:
        return ""
    return (
        f"{n_images} of {n_all} images and the rest cannot both hold all {n_classes} classes; take 0, which takes all"
    )
