"""How much memory a computation may still take, whoever limits it: the machine, a container, the process itself."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

try:
    import resource
except ModuleNotFoundError:  # not a Unix
    resource = None

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # parameters of the GNU C library's mallopt
KEPT_FREE = 2**30  # bytes

GROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")  # Linux's control groups


# Where a version of control groups tells of memory: folder, limit, use, and what of the use it gives back.
VERSION_1 = ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = ("", "memory.max", "memory.current", "inactive_file")


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device; for a CPU the least that the machine, control groups and RLIMIT_AS leave."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return max(0, min([psutil.virtual_memory().available, *_left_by_groups(), *_left_by_process()]))


def _left_by_groups() -> Iterator[int]:
    """What the process's control groups, and those around them, leave of their limits."""
    for line in MEMBERSHIP.read_text().splitlines() if MEMBERSHIP.exists() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0" or "memory" in controllers.split(","):
            folder, *files = VERSION_2 if number == "0" else VERSION_1
            root = GROUPS / folder
            place = root / path.lstrip("/")  # a container may see its own group as the root, and not this path
            for group in (place, *place.parents):
                if group.is_relative_to(root) and (group / files[0]).exists():
                    yield from _left_by_group(group, *files)


def _left_by_group(group: Path, limit_file: str, use_file: str, cache: str) -> Iterator[int]:
    limit, use = ((group / name).read_text().strip() for name in (limit_file, use_file))
    if limit != "max":
        stated = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        yield int(limit) - int(use) + int(stated[cache])


def _left_by_process() -> Iterator[int]:
    """What the process's address space may still grow by."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0] if resource else None
    if resource and limit != resource.RLIM_INFINITY:
        yield limit - psutil.Process().memory_info().vms


def keep_freed_memory() -> None:
    """Have the C library keep up to a gibibyte that tensors leave for the next ones, where it is GNU's.

    What it gives back to the system comes again page by page: a fourteenth of a training step.
    """
    tune = getattr(ctypes.CDLL(None) if resource else None, "mallopt", None)
    for parameter in (MMAP_THRESHOLD, TRIM_THRESHOLD) if tune else ():
        tune(parameter, KEPT_FREE)
