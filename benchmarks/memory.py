"""Peak memory of a step above the idle process, each measured in a process of its own.

``python -m benchmarks.memory '{"simulator": "qpatch", ...}'`` measures one and prints it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks import work
from benchmarks.simulators import Engine, TorchQuantum
from benchmarks.timing import rounded
from qpatch.files import PROJECT

STATUS = Path("/proc/self/status")
STEPS = 2


def memory(sizes: work.Sizes, device: torch.device) -> dict:
    """The engine's step with many QNNs at several depths; one QNN, shallow, through the engine and TorchQuantum.

    Of the latter on fewer images, as in the comparison.
    """
    common = {"n_qubits": sizes.n_qubits, "batch": sizes.batch, "device": device.type}
    many = [common | {"depth": depth, "stride": sizes.strides[1]} for depth in sizes.memory_depths]
    one = common | {"depth": sizes.shallow, "stride": None}
    work_list = [case | {"simulator": Engine.name} for case in (*many, one)]
    few = min(sizes.batch, sizes.few_images.get(TorchQuantum.name, sizes.batch))
    work_list.append(one | {"simulator": TorchQuantum.name, "batch": few})
    return {"bar_depth": sizes.deep, "cases": [_in_child(case) for case in work_list]}


def _in_child(case: dict) -> dict:
    command = [sys.executable, "-m", "benchmarks.memory", json.dumps(case)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    child = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    if child.returncode != 0:
        raise RuntimeError(f"measuring the memory of {case} failed with exit code {child.returncode}:\n{child.stderr}")
    return json.loads(child.stdout.splitlines()[-1])


def measure_case(case: dict) -> dict:
    """Memory of this process before and at its largest during steps of the case, and the difference, in MiB."""
    device = torch.device(case["device"])
    if case["stride"] is None:
        config = work.one_qnn(case["n_qubits"], case["depth"])
    else:
        config = work.many_qnns(case["n_qubits"], case["depth"], case["stride"])
    simulator = {kind.name: kind for kind in (Engine, TorchQuantum)}[case["simulator"]]
    step = simulator(work.random_model(config, device))
    split = work.digits(config, case["batch"], device)
    idle = idle_bytes(device)
    for _ in range(STEPS):
        step.gradient(split.images, split.labels)
    sizes = {"idle_mib": idle / 2**20, "step_mib": (peak_bytes(device) - idle) / 2**20}
    named = {name: case[name] for name in ("simulator", "n_qubits", "depth", "batch")}
    return named | {"n_patches": config.n_patches} | {name: rounded(value) for name, value in sizes.items()}


def idle_bytes(device: torch.device) -> int:
    """Memory in use now; from here on `peak_bytes` counts anew, where the system lets it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    return _status("VmRSS")


def peak_bytes(device: torch.device) -> int:
    """The most memory in use so far."""
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else _status("VmHWM")


def _status(field: str) -> int:
    """A field of the process's status on Linux; elsewhere the peak so far, which also counts what came before."""
    try:
        return int(re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.MULTILINE)[1]) * 1024
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    print(json.dumps(measure_case(json.loads(sys.argv[1]))))
