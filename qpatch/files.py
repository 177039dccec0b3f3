"""Files that are there whole or not at all, their digests, and the project's folder."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PROJECT = Path(__file__).resolve().parents[1]


class ResultError(RuntimeError):
    """Results that are missing, damaged, in use or cannot be written; the message names the file and the remedy."""


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

    What a process leaves that is killed meanwhile is a file ``.<name>.<random>.part``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _flush_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; ResultError where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ResultError(f"{path} is damaged ({error}); delete it, and what it held is computed again") from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write tensors of any device into a safetensors file."""
    from safetensors.torch import save

    write_atomically(path, save({name: value.detach().cpu().contiguous() for name, value in tensors.items()}))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
