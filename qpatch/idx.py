"""Files of images and labels: IDX, in which digits come, NumPy's .npz, and a folder of PNGs a class."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import math
import re
import zipfile
import zlib
from pathlib import Path

import lazy_loader

from qpatch.files import PROJECT

np = lazy_loader.load("numpy")

# The canonical MNIST files, and the SHA-256 of each, uncompressed.
MNIST = {
    "train_images": ("train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train_labels": ("train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "test_images": ("t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "test_labels": ("t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
FILES = {name: file for name, (file, _) in MNIST.items()}
# NumPy's name of the element types of IDX files.
IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PNG_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}  # of at most eight bits a channel, which become grey


class DataError(ValueError):
    """Data files that cannot be used; the message names the file, what is wrong and the remedy."""


def read_split(folder: Path, name: str, dataset: str = "mnist") -> tuple[np.ndarray, np.ndarray]:
    """Images ``(n, height, width)`` uint8 and labels ``(n,)`` of a split, 'train' or 'test', in the form that it has.

    ``<name>.npz`` with arrays ``images`` and ``labels``; else a folder ``<name>`` with a folder of PNGs for each class,
    classes numbered in the order of their names and taken in turn; else, as ``mnist`` always, files of `read_raw`.
    """
    arrays, classes = folder / f"{name}.npz", folder / name
    if dataset != "mnist" and arrays.exists():
        return _read_npz(arrays)
    if dataset != "mnist" and classes.is_dir():
        return _read_classes(classes)
    return tuple(read_raw(folder, f"{name}_{part}", dataset) for part in ("images", "labels"))


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with np.load(path) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        wanted = f"np.savez({path.name!r}, images=images, labels=labels)"
        raise DataError(f"{path} cannot be read ({error}); write it by {wanted}, without objects") from error
    if images.dtype != np.uint8 or labels.dtype.kind not in "iu":
        wanted = "bytes from 0 to 255, such as (255 * images).astype(np.uint8) of images from 0 to 1, and whole numbers"
        raise DataError(f"{path} holds images of type {images.dtype}, labels of type {labels.dtype}; write {wanted}")
    return images, labels


def _read_classes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    from PIL import Image  # only where there are any

    names = sorted({folder.name for split in ("train", "test") for folder in path.with_name(split).glob("*/")})
    classes = [[(file, label) for file in sorted((path / name).glob("*.png"))] for label, name in enumerate(names)]
    turns = [pair for turn in itertools.zip_longest(*classes) for pair in turn if pair]
    images = []
    for file, _ in turns:
        try:
            with Image.open(file) as image:
                images.append(np.array(image.convert("L")))
        except (OSError, SyntaxError) as error:  # the latter of a damaged chunk
            raise DataError(f"{file} cannot be read ({error}); put a whole PNG there, or delete it") from error
        if image.mode not in PNG_MODES or images[-1].shape != images[0].shape:
            seen, first = images[-1].shape, images[0].shape
            raise DataError(f"{file} is {seen}, mode {image.mode}; give all images one size, here {first}, of 8 bits")
    if not turns:
        raise DataError(f"{path} has no folder with PNGs; make one for each class, such as {path / '0'}")
    return np.stack(images), np.array([label for _, label in turns])


def read_raw(folder: Path, name: str, dataset: str = "mnist") -> np.ndarray:
    """One of `FILES`, ``(n, 28, 28)`` or ``(n,)`` uint8; for ``mnist`` the canonical one.

    Files may be compressed by gzip, whatever their name, and named as EMNIST, QMNIST and others do, such as
    ``emnist-digits-test-images-idx3-ubyte.gz`` or ``t10k-images.idx3-ubyte``. Labels may be any whole numbers.
    """
    path, sha256 = folder / FILES[name], MNIST[name][1]
    remedy = _remedy(path, dataset)
    split, part = name.replace("test", "(t10k|test)").split("_")
    named = re.compile(rf"(.*[-_.])?{split}-{part}[-_.]idx\d-(ubyte|int)(\.gz)?")
    found = sorted(file for file in folder.glob(f"*{part}*") if named.fullmatch(file.name) and file.is_file())
    if not found:
        raise DataError(f"{path} (or {path.name}.gz) is missing; {remedy}")
    first, *others = (_contents(file, remedy) for file in found)
    for file, other in zip(found[1:], others, strict=True):
        if other != first:
            raise DataError(
                f"{found[0]} and {file.name} hold {len(first)} and {len(other)} bytes that are not the same;"
                f" delete the one that is half-written or not wanted"
            )
    digest = hashlib.sha256(first).hexdigest()
    if dataset == "mnist" and digest != sha256:
        raise DataError(f"{found[0]} is not the canonical file: it has SHA-256 {digest}, expected {sha256}; {remedy}")
    return _parse_idx(first, found[0], part)


def _contents(file: Path, remedy: str) -> bytes:
    try:
        contents = file.read_bytes()
        return gzip.decompress(contents) if contents[:2] == b"\x1f\x8b" or file.suffix == ".gz" else contents
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read ({error}); {remedy}") from error


def _remedy(path: Path, dataset: str) -> str:
    if dataset != "mnist":
        return "put the data set's four IDX files or npz files there, or point QPATCH_DATA at its folder's folder"
    if path.is_relative_to(PROJECT):
        return "get it back with 'git checkout -- data/mnist'"
    return "copy the files of data/mnist there, or unset QPATCH_DATA"


def _parse_idx(contents: bytes, path: Path, part: str) -> np.ndarray:
    if len(contents) < 4 or contents[:2] != b"\0\0" or contents[2] not in IDX_TYPES or not 0 < contents[3] < 5:
        raise DataError(f"{path} is not an IDX file of unsigned bytes; its first bytes are {contents[:4].hex()}")
    kind, start = np.dtype(IDX_TYPES[contents[2]]), 4 + 4 * contents[3]
    if kind != np.uint8 if part == "images" else kind.kind == "f":
        wanted = "bytes from 0 to 255" if part == "images" else "whole numbers"
        raise DataError(f"{path} holds {part} of type {kind.name}; write them as {wanted}")
    shape = tuple(np.frombuffer(contents, ">u4", contents[3], offset=4).tolist()) if len(contents) >= start else ()
    if not shape or len(contents) != start + kind.itemsize * math.prod(shape):
        raise DataError(f"{path} is truncated or too long: {len(contents)} bytes for an array of shape {shape}")
    return np.frombuffer(contents, kind, offset=start).reshape(shape)
