"""`qpatch run --processes` as a person has it: a killed process, a world of another size."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from helpers import REPOSITORY, TINY

from qpatch.config import ConfigError
from qpatch.runs.compute import train
from qpatch.runs.store import RunFolder
from qpatch.runs.together import world_of

LONG = TINY.replace(epochs=5000)  # minutes


@contextlib.contextmanager
def started(config, *options: str) -> Iterator[subprocess.Popen]:
    """Within it the command runs; nothing of it does afterwards."""
    command = [sys.executable, "-m", "qpatch", "run", "--stage", "train", *config.command_options.split(), *options]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "TQDM_DISABLE": "1"}
    pipe = subprocess.PIPE
    options = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "text": True}
    with subprocess.Popen(command, env=environment, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                for each in psutil.Process(process.pid).children(recursive=True):
                    each.kill()
                process.kill()


def members(process: subprocess.Popen) -> list[psutil.Process]:
    """The processes that compute, the one that leads first."""
    computing = [child for child in psutil.Process(process.pid).children() if "run" in child.cmdline()]
    return sorted(computing, key=lambda child: int(child.environ()["RANK"]))


def wait_for(what, seconds: float = 300):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    "lost", [pytest.param(0, marks=pytest.mark.slow, id="the first"), pytest.param(1, id="another")]
)
def test_a_killed_process_ends_the_run_and_loses_nothing(shapes, lost):
    run = RunFolder(LONG)
    checkpoint = run.cache / "progress-train" / "checkpoint.safetensors"
    with started(LONG, "--processes", "2") as process:
        wait_for(checkpoint.exists)
        pids = [member.pid for member in members(process)]
        os.kill(pids[lost], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)  # seconds, on a free machine
    assert process.returncode == 1
    assert f"process {lost + 1} of 2 was killed by SIGKILL" in errors
    assert "the same command goes on where it was" in errors
    assert "Traceback" not in errors
    assert not any(map(psutil.pid_exists, pids))
    goes_on = train(LONG, "cpu", shapes, max_steps=3)  # one epoch, alone
    assert goes_on.state("train") == "missing"
    assert not list(goes_on.cache.glob("*aside*"))  # the checkpoint was taken up


@pytest.mark.slow
def test_a_stopped_run_says_so_once(shapes):
    with started(LONG, "--processes", "2") as process:
        wait_for((RunFolder(LONG).cache / "progress-train" / "checkpoint.safetensors").exists)
        pids = [member.pid for member in members(process)]
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert errors.count("qpatch: stopped; the same command goes on where it was") == 1
    assert "Traceback" not in errors
    assert not any(map(psutil.pid_exists, pids))


def test_a_world_of_another_size_is_refused(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "test", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="processes is 3, but torchrun has started 2"), world_of(TINY, 3, "cpu"):
        pass
