"""Free memory: the least of what anybody leaves, told from made-up control groups and a real limit of a process."""

import subprocess
import sys

import psutil
import pytest
import torch

from qpatch.engine import memory

CPU, MIB = torch.device("cpu"), 2**20


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A function that makes up the control groups: ``(membership, {group: (limit, use, cache)})``."""
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")

    def make(membership: str, version: tuple[str, str, str, str], found: dict[str, tuple[int | str, int, int]]):
        (tmp_path / "membership").write_text(membership)
        root, limit_file, use_file, cache_line = version
        for name, (limit, use, cache) in found.items():
            folder = tmp_path / "groups" / root / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / limit_file).write_text(f"{limit}\n")
            (folder / use_file).write_text(f"{use}\n")
            (folder / "memory.stat").write_text(f"anon 1\n{cache_line} {cache}\n")

    return make


def test_a_container_of_version_2_is_seen(groups):
    groups("0::/job\n", memory.VERSION_2, {"job": (8 * MIB, 5 * MIB, 2 * MIB)})
    assert memory.free_memory(CPU) == 5 * MIB  # 3 that nobody has taken, 2 of cached files


def test_a_container_of_version_1_is_seen(groups):
    groups("4:cpu,memory:/job\n0::/\n", memory.VERSION_1, {"job": (8 * MIB, 5 * MIB, 0), "": (2**63 - 4096, MIB, 0)})
    assert memory.free_memory(CPU) == 3 * MIB


def test_the_narrowest_of_nested_groups_counts(groups):
    nested = {"": (100 * MIB, MIB, 0), "outer": (4 * MIB, MIB, 0), "outer/inner": ("max", MIB, 0)}
    groups("0::/outer/inner\n", memory.VERSION_2, nested)
    assert memory.free_memory(CPU) == 3 * MIB


def test_a_container_that_sees_its_own_group_as_the_root_is_seen(groups):
    groups("4:memory:/docker/0123\n", memory.VERSION_1, {"": (8 * MIB, 5 * MIB, 0)})
    assert memory.free_memory(CPU) == 3 * MIB


def test_a_full_container_has_nothing_left(groups):
    groups("0::/job\n", memory.VERSION_2, {"job": (5 * MIB, 6 * MIB, 0)})
    assert memory.free_memory(CPU) == 0


def test_without_a_limit_the_machine_decides(groups):
    groups("0::/job\n", memory.VERSION_2, {"job": ("max", MIB, 0)})
    assert 0 < memory.free_memory(CPU) <= psutil.virtual_memory().total


def test_a_limit_of_the_address_space_is_seen():
    script = """
import psutil, torch
resource = __import__("resource")
from qpatch.engine.memory import free_memory
resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + 2**26, resource.RLIM_INFINITY))
print(free_memory(torch.device("cpu")))
"""
    pytest.importorskip("resource")
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert 0 < int(printed) <= 2**26


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_memory_that_a_tensor_leaves_serves_the_next():
    """64 MiB, 16,384 pages, in a process of its own: else each brings as many new ones, now some bring next to none.

    Not all: what is left may be a few bytes short for the next one's alignment.
    """
    program = (
        "import resource, torch; from qpatch.engine.memory import keep_freed_memory; keep_freed_memory();"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt;"
        "new = lambda: (-faults(), torch.ones(2**24).sum(), faults());"
        "print(*[(found := new())[2] + found[0] for _ in range(20)])"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert min(map(int, child.stdout.split())) < 1000
