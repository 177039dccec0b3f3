"""Where a result comes from: the version of the code, the class of machine."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import lazy_loader

from qpatch.files import PROJECT, ResultError

np, torch = (lazy_loader.load(name) for name in ("numpy", "torch"))

# What decides about the numbers of a stage.
COMPUTING = ("ansatz.py", "config.py", "data.py", "idx.py", "engine", "model", "curvature", "landscape", "runs/stages")


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


@functools.cache
def code_version() -> str:
    """Version of the package, and the commit where it runs from a checkout; 'dirty' where the package was changed.

    Asked once: later changes of the files are not what this process runs.
    """
    version = importlib.metadata.version("qpatch")
    try:
        if Path(_git("rev-parse", "--show-toplevel")).resolve() != PROJECT:  # unpacked inside another repository
            return version
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "qpatch")
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{commit}{'-dirty' if changed else ''}"


def _git(*arguments: str) -> str:
    # A checkout of another user's is asked all the same: nothing of it is executed.
    command = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


@functools.cache
def code_digest() -> str:
    """SHA-256 of the code that decides about numbers: what one version of it has kept is not for another."""
    digest = hashlib.sha256()
    for name in COMPUTING:
        path = PROJECT / "qpatch" / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(PROJECT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def refuse_other_code(digest: str) -> None:
    """Refuse, by ResultError, to go on with what another version of the code has begun, told by its `code_digest`."""
    if digest != code_digest():
        raise ResultError(
            f"the code in {PROJECT} on {platform.node()} ({code_version()}) is not the version that this sweep or"
            f" workflow began with; give all nodes the same one, or start it anew: what is done stays"
        )
