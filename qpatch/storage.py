"""Files that are there whole or not at all, and where a result comes from: digests, code version, class of machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import uuid
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

PROJECT = Path(__file__).resolve().parents[1]


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
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and what it held is computed again") from error


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def machine(device: torch.device) -> dict:
    """The class of machine that computes: device, processor, threads, and the versions that decide about numbers."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    versions = {"python": platform.python_version(), "numpy": np.__version__, "torch": torch.__version__}
    return {"device": device.type, "name": name, "threads": torch.get_num_threads(), **versions}


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def code_version() -> str:
    """Version of the package, and the commit where it runs from a checkout."""
    version = importlib.metadata.version("qpatch")
    describe = ["git", "-C", str(PROJECT), "describe", "--always", "--dirty"]
    try:
        commit = subprocess.run(describe, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{commit}"
