"""IDX files, in which digits and the like come: bytes of images and labels, under the names that they have."""

from __future__ import annotations

import gzip
import hashlib
import math
import re
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


class DataError(ValueError):
    """Data files that cannot be used; the message names the file, what is wrong and the remedy."""


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
        return "put the data set's four IDX files there, or point QPATCH_DATA at the folder that holds its folder"
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
