"""Files that are there whole or not at all, what is kept of unfinished work, the project's folder."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import filelock

if TYPE_CHECKING:
    import torch

PROJECT = Path(__file__).resolve().parents[1]


class ResultError(RuntimeError):
    """Results that are missing, damaged, in use or cannot be written; the message names the file and the remedy."""


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Within the block an error of the operating system means that something cannot be written: a `ResultError`."""
    try:
        yield
    except filelock.Timeout:  # an OSError, too
        raise
    except OSError as error:
        raise ResultError(
            f"cannot write to {error.filename or path} ({error.strerror}); make that possible, or set QPATCH_RESULTS to"
            f" a folder that you can write to"
        ) from error


def locked(file: Path, timeout: float = -1) -> contextlib.AbstractContextManager:
    """A lock, held until the block or the process ends, which all who may write its folder can take.

    Raises:
        filelock.Timeout: another process holds it, after so many seconds; -1 waits.
        ResultError: it cannot be written.
    """
    with writable(file):
        _make_way(file)
        return filelock.FileLock(file, timeout=timeout, mode=0o666).acquire()


def in_project(*parts: str) -> Path:
    """A place in the project's folder; ResultError where the package is installed without the project."""
    if not (PROJECT / "pyproject.toml").is_file():
        raise ResultError(
            "this needs the project's data and notebooks, which an installed qpatch comes without: clone the repository"
            " and 'make setup' there (or 'pip install -e .'); QPATCH_DATA and QPATCH_RESULTS may name other folders"
        )
    return PROJECT.joinpath(*parts)


def write_atomically(path: Path, contents: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash, whoever else writes it.

    What a process leaves that is killed meanwhile is a file ``.<name>.<random>.part``; `clear_parts` takes it away.
    ResultError where it cannot be written.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    with writable(path):
        _make_way(path)
        try:
            with part.open("xb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            _flush_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def clear_parts(folder: Path) -> None:
    """Take away what killed writers left in a folder and below, for one who holds its lock."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def _make_way(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        set_aside(file, "is a folder in the place of a file")


def _flush_folder(folder: Path) -> None:
    """Make a new name in a folder last through a crash, where the system lets a folder be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# safetensors brings PyTorch with it, which whoever only asks about files does not need.
def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors of any device into a safetensors file."""
    from safetensors.torch import save

    write_atomically(path, save(_on_cpu(tensors)))


def _on_cpu(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def set_aside(path: Path, why: str, name: Path | None = None) -> None:
    """Give a file or folder the first free name ``<name>.aside-<number>``, and say so."""
    names = ((name or path).with_name(f"{(name or path).name}.aside-{number}") for number in itertools.count(1))
    aside = path.rename(next(free for free in names if not free.exists()))
    print(f"{path} {why}; it is now {aside}, and made anew")


class Kept:
    """A folder of tensors that a later call goes on from, each file with a digest of its contents and of its place.

    What was altered since it was written, or was written under another name or ``stamp``, is set aside and not read.
    """

    SEAL = slice(35, 99)  # of a safetensors file: the first value of its metadata, 64 digits

    def __init__(self, folder: Path, stamp: bytes = b""):
        self.folder, self.stamp = folder, stamp

    def write(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Keep tensors of any device under a name, which may have a folder in it."""
        from safetensors.torch import save

        contents = save(_on_cpu(tensors), {"sha256": "0" * 64})
        write_atomically(self.file(name), self._sealed(name, contents))

    def read(self, name: str) -> dict[str, torch.Tensor] | None:
        """The tensors that are kept under a name; None where there are none."""
        from safetensors.torch import load

        file = self.file(name)
        if not file.exists():
            return None
        contents = file.read_bytes() if file.is_file() else b""
        if contents and contents == self._sealed(name, contents):
            return load(contents)
        set_aside(file, "was altered after it was written", self.folder.with_name(f"{self.folder.name}-{file.name}"))
        return None

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def _sealed(self, name: str, contents: bytes) -> bytes:
        before, after = contents[: self.SEAL.start], contents[self.SEAL.stop :]
        digest = hashlib.sha256(b"\0".join([self.stamp, name.encode(), before, after])).hexdigest()
        return before + digest.encode() + after
