"""Digits as the study uses them: IDX files, pooled and scaled pixels, stratified mini-batches (section 3.1)."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lazy_loader

from qpatch.config import RunConfig
from qpatch.files import PROJECT

np, torch = (lazy_loader.load(name) for name in ("numpy", "torch"))

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}
# SHA-256 of the uncompressed canonical MNIST files.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


class DataError(ValueError):
    """Data files that cannot be used; the message names the file, what is wrong and the remedy."""


@dataclass(frozen=True)
class Split:
    """Images ``(n, size, size)`` float32, pooled and in radians, and their labels ``(n,)`` int64."""

    images: torch.Tensor
    labels: torch.Tensor

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
    """Folder of a data set's four IDX files: ``$QPATCH_DATA/<dataset>`` where that variable is set, else ``data/``."""
    return Path(os.path.expanduser(os.environ.get("QPATCH_DATA") or PROJECT / "data")) / dataset


def load_dataset(config: RunConfig, folder: Path | str | None = None) -> Dataset:
    """The images that a run uses: the first ``n_train`` and ``n_test`` whose label is below ``n_classes``.

    Pixels are scaled by 2 pi / (255 n_qubits), so that angles lie in [0, pi/4] for eight qubits, then averaged as
    `pool` says: over 2 x 2 windows for the paper's 14 x 14 pixels. With a ``permutation`` pixel i of every image then
    becomes the old pixel ``numpy.random.RandomState(permutation).permutation(image_size^2)[i]``. The IDX files, plain
    or gzip-compressed, are in ``folder`` or `data_folder`.

    Raises:
        DataError: a file is missing, damaged, or (for the data set ``mnist``) not the canonical one; images that do not
            pool to ``image_size``; too few images.
    """
    return Dataset(train=load_split(config, "train", folder), test=load_split(config, "test", folder))


def load_split(config: RunConfig, name: str, folder: Path | str | None = None) -> Split:
    """One of a run's splits alone, 'train' or 'test', as `load_dataset` reads it; the test images load much faster."""
    folder = Path(folder) if folder is not None else data_folder(config.dataset)
    images, labels = (read_raw(folder, f"{name}_{part}", config.dataset) for part in ("images", "labels"))
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(f"{folder}: images of shape {images.shape} do not go with labels of shape {labels.shape}")
    count = getattr(config, f"n_{name}")
    kept = np.flatnonzero(labels < config.n_classes)[:count]
    if len(kept) < count:
        raise DataError(f"{folder}: {len(kept)} images carry a label below {config.n_classes}; {count} were asked for")
    pixels = torch.from_numpy(images[kept].astype(np.float32)) * (2 * torch.pi / (255 * config.n_qubits))
    try:
        pooled = pool(pixels, config.image_size)
    except DataError as error:
        raise DataError(f"{folder}: {error}") from None
    if config.permutation is not None:
        order = np.random.RandomState(config.permutation).permutation(config.image_size**2)
        pooled = pooled.flatten(1)[:, order].reshape(pooled.shape)
    return Split(pooled, torch.from_numpy(labels[kept].astype(np.int64)))


def read_raw(folder: Path, name: str, dataset: str = "mnist") -> np.ndarray:
    """One of `FILES`, or of these with ``.gz``, ``(n, 28, 28)`` or ``(n,)`` uint8; for ``mnist`` the canonical one."""
    path = folder / FILES[name]
    sha256 = MNIST_SHA256[path.name] if dataset == "mnist" else None
    packed = path.with_name(path.name + ".gz")
    found = next((candidate for candidate in (path, packed) if candidate.is_file()), None)
    if found is None:
        raise DataError(f"{path} (or {packed.name}) is missing; {_remedy(path, sha256)}")
    try:
        contents = found.read_bytes()
        if found == packed:
            contents = gzip.decompress(contents)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{found} cannot be read ({error}); {_remedy(path, sha256)}") from error
    digest = hashlib.sha256(contents).hexdigest()
    if sha256 is not None and digest != sha256:
        raise DataError(
            f"{found} is not the canonical file: its contents have SHA-256 {digest}, expected {sha256};"
            f" {_remedy(path, sha256)}"
        )
    return _parse_idx(contents, found)


def _remedy(path: Path, sha256: str | None) -> str:
    if sha256 is None:
        return "put the data set's four IDX files there, or point QPATCH_DATA at the folder that holds its folder"
    if path.is_relative_to(PROJECT):
        return "get it back with 'git checkout -- data/mnist'"
    return "copy the files of data/mnist there, or unset QPATCH_DATA"


def _parse_idx(contents: bytes, path: Path) -> np.ndarray:
    if len(contents) < 4 or contents[:3] != b"\0\0\x08":
        raise DataError(f"{path} is not an IDX file of unsigned bytes; its first bytes are {contents[:4].hex()}")
    rank = contents[3]
    shape = tuple(np.frombuffer(contents, ">u4", rank, offset=4).tolist()) if len(contents) >= 4 + 4 * rank else ()
    if len(contents) != 4 + 4 * rank + int(np.prod(shape)) or not shape:
        raise DataError(f"{path} is truncated or too long: {len(contents)} bytes for an array of shape {shape}")
    return np.frombuffer(contents, np.uint8, offset=4 + 4 * rank).reshape(shape)


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
    """Indices of an epoch's mini-batches ``(batch_size,)``: scikit-learn's test folds by the epoch's random state."""
    from sklearn.model_selection import StratifiedKFold  # half of what importing this package would cost

    folds = StratifiedKFold(config.n_batches, shuffle=True, random_state=int(epoch_seeds(config)[epoch]))
    for _, indices in folds.split(np.zeros(len(labels)), labels.cpu().numpy()):
        yield torch.from_numpy(indices)


def stratified_subset(split: Split, n_images: int, seed: int = 0) -> Split:
    """``n_images`` of a split at random, the classes in proportion; all of them for 0, or where there are no more.

    Fewer images than classes, in the subset or left over, cannot be shared out: DataError.
    """
    from sklearn.model_selection import train_test_split

    if n_images == 0 or n_images >= len(split):
        return split
    n_classes = len(split.labels.unique())
    if n_images < n_classes:
        raise DataError(f"{n_images} images cannot hold all {n_classes} classes; take more, or 0 for all")
    if len(split) - n_images < n_classes:
        raise DataError(
            f"{n_images} of {len(split)} images leave fewer than one of each of {n_classes} classes over; take"
            f" {len(split) - n_classes} or fewer, or 0 for all"
        )
    labels = split.labels.cpu().numpy()
    indices, _ = train_test_split(np.arange(len(split)), train_size=n_images, stratify=labels, random_state=seed)
    chosen = torch.from_numpy(np.sort(indices))
    return Split(split.images[chosen], split.labels[chosen])
