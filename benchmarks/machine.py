"""The machine at hand, in enough detail to say what a time means."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path

import psutil
import torch

from qpatch.runs import provenance


def describe(device: torch.device) -> dict:
    """Processor, cores, threads, memory, device and versions."""
    described = provenance.machine(device)
    described["processor"] = _processor()
    described["cores"] = provenance.processors()
    described["memory_gib"] = round(total_memory(torch.device("cpu")) / 2**30)
    described["numba"] = importlib.metadata.version("numba")
    described["blas"] = _blas()
    if device.type == "cuda":
        described["cuda"] = torch.version.cuda
    return dict(sorted(described.items()))


def installed_version(package: str) -> str | None:
    """Version of a package, or None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def total_memory(device: torch.device) -> int:
    """Bytes of memory that a device has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def processor_seconds() -> tuple[float, float]:
    """Seconds of processors so far: of all the machine's work, and of this process with its ended children."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0) + getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle, sum(os.times()[:4])


def _processor() -> str:
    """Name of the processor, where the system tells it."""
    try:
        names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def _blas() -> str:
    """The library that multiplies PyTorch's matrices on the processor."""
    found = re.search(r"oneAPI Math Kernel Library Version ([\d.]+)", torch.__config__.show())
    if found:
        return f"MKL {found[1]}"
    return "MKL" if torch.backends.mkl.is_available() else "not MKL"
