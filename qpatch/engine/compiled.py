"""What the compiled parts of the engine share: compiler options, tasks on threads, complex numbers as real pairs."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import numpy as np
import torch
from numba import njit

from qpatch.engine.vectors import LANES, transpose_square

TASK_IMAGES = 256  # images that one task takes

# Numba keeps the compiled code on disk. Sums may be reordered, which vectors need; nothing is assumed of infinities.
# A function that another one calls must be part of its code: the process that compiles would else call the function as
# compiled by itself, whose sums run in another order, and round unlike all later ones, which load from disk.
_njit = njit(nogil=True, fastmath={"contract", "reassoc", "nsz"}, cache=True, forceinline=True)


def compiled(function: Callable) -> Callable:
    """The function compiled at its first call, and kept: beside the source, at home, else in a temporary folder."""
    try:
        return _njit(function)
    except RuntimeError:  # neither of the first two may be written
        numba.config.CACHE_DIR = _own_folder()
        return _njit(function)


def _own_folder() -> str:
    """One of this user's in the temporary folder, the same each time unless another user has made it."""
    user = getattr(os, "getuid", int)()
    folder = Path(tempfile.gettempdir()) / f"qpatch-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder) if folder.lstat().st_uid == user else tempfile.mkdtemp(prefix="qpatch-")


_off: list[bool] = []  # one entry for each `switched_off` at work


def takes(tensor: torch.Tensor) -> bool:
    """Whether compiled code computes with this tensor: on a CPU. Elsewhere plain PyTorch does, on a CPU its oracle."""
    return tensor.device.type == "cpu" and not _off


@contextlib.contextmanager
def switched_off() -> Iterator[None]:
    """Within the block plain PyTorch computes on a CPU too: the same numbers but for rounding, more slowly."""
    _off.append(True)
    try:
        yield
    finally:
        _off.pop()


def for_each(count: int, task: Callable[[int], None]) -> None:
    """Call ``task(0), ..., task(count - 1)``, as many at a time as PyTorch has threads."""
    threads = min(torch.get_num_threads(), count)
    call_each = map if threads <= 1 else _pool(threads).map
    list(call_each(task, range(count)))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for tasks until the program ends."""
    return ThreadPoolExecutor(threads)


def _without_threads() -> None:
    """One thread in a forked child: of its parent's threads, here and in PyTorch, none is there to take a task."""
    if _pool.cache_info().currsize:
        _pool.cache_clear()
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_without_threads)


def over_images(kernel: Callable, like: torch.Tensor, *arrays: np.ndarray) -> None:
    """Call ``kernel(*arrays of one patch, first image, last image)`` for all of ``like``, ``(P, B, ...)``, in tasks."""
    n_patches, n_images = like.shape[:2]
    tasks = -(-n_images // TASK_IMAGES)

    def run(index: int) -> None:
        patch, part = divmod(index, tasks)
        kernel(*(array[patch] for array in arrays), part * TASK_IMAGES, min(n_images, (part + 1) * TASK_IMAGES))

    for_each(n_patches * tasks, run)


def as_real(tensor: torch.Tensor) -> np.ndarray:
    """``(..., k)`` complex as ``(..., 2 k)`` real; the same memory where the tensor is contiguous."""
    return torch.view_as_real(tensor.detach().resolve_conj().contiguous()).flatten(-2).numpy()


@compiled
def split_parts(interleaved, real, imag):
    for k in range(len(real)):
        real[k], imag[k] = interleaved[2 * k], interleaved[2 * k + 1]


@compiled
def join_parts(real, imag, interleaved):
    for k in range(len(real)):
        interleaved[2 * k], interleaved[2 * k + 1] = real[k], imag[k]


@compiled
def transpose(parts, half):
    """Exchange the halves of the qubits, in place."""
    for part in parts:
        if half == LANES:
            transpose_square(part)
        else:
            for i in range(half):
                for j in range(i):
                    part[i * half + j], part[j * half + i] = part[j * half + i], part[i * half + j]
