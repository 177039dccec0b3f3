"""Where a result comes from: version of the code, class of machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess

import numpy as np
import torch

from qpatch.files import PROJECT


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
