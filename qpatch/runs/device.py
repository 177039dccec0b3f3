"""Where a run computes."""

from __future__ import annotations

import contextlib

import lazy_loader

from qpatch.config import ConfigError

torch = lazy_loader.load("torch")


def choose_device(name: str = "auto") -> torch.device:
    """'auto' takes a GPU where PyTorch sees one; else 'cpu', 'cuda', 'cuda:1', ...

    Raises:
        ConfigError: CUDA is asked for and there is none, or another device than these.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {name!r} was asked for, but PyTorch sees no CUDA device; use 'auto' or 'cpu'")
    with contextlib.suppress(RuntimeError):  # a name that PyTorch does not know
        device = torch.device(name)
        if device.type in ("cpu", "cuda"):
            return device
    raise ConfigError(f"device {name!r} is none that this package runs on; use 'auto', 'cpu' or 'cuda'")
