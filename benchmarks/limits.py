"""A program in a process of its own, ended where it takes too long or too much memory: a rival cannot harm the rest."""

from __future__ import annotations

import os
import sys
import tempfile
import time

import psutil

from qpatch.files import PROJECT

POLL_SECONDS = 0.05


def run_limited(module: str, argument: str, seconds: float, mib: float) -> tuple[str, str | None]:
    """What ``python -m module argument`` printed, and why it was ended before its time, None where it was not.

    RuntimeError where it failed by itself.
    """
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        command = [sys.executable, "-m", module, argument]
        child = psutil.Popen(command, cwd=PROJECT, env=environment, stdout=out, stderr=errors)
        reason, began = None, time.perf_counter()
        while child.poll() is None:
            if time.perf_counter() - began > seconds:
                reason = f"ended after {seconds:g} s"
            elif _resident(child) > mib * 2**20:
                reason = f"ended at {mib / 1024:g} GiB"
            if reason:
                child.kill()
                child.wait()
                break
            time.sleep(POLL_SECONDS)
        out.seek(0), errors.seek(0)
        if reason is None and child.returncode != 0:
            raise RuntimeError(f"{module} {argument} failed with exit code {child.returncode}:\n{errors.read()}")
        return out.read(), reason


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:  # it has just ended
        return 0
