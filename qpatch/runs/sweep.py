"""Runs one after the other or side by side; what is done is skipped, what fails is reported and stops no other."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import torch

from qpatch.config import RunConfig
from qpatch.runs.estimate import duration
from qpatch.runs.notebooks import execute_stage, stage_state
from qpatch.runs.provenance import processors
from qpatch.runs.store import STAGES, ResultError, RunFolder

Wanted = Callable[[RunConfig], Sequence[str]]  # the stages that are wanted of a run
FROM_PATH = ("landscape", "slices")  # stages that start from the whole path of a training
BUSY = 75  # exit status of a run that another process holds (EX_TEMPFAIL)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class BusyError(ResultError):
    """Another process computes the run."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended: 'done', 'skipped' (it was done before), 'busy' or 'failed', and why."""

    run: RunFolder
    result: str
    message: str
    seconds: float


class Progress:
    """What is left of a sweep: stages, and time as estimated, corrected by what the finished ones took.

    Args:
        seconds: of every pending stage, by run id and stage.
        workers: runs at a time.
    """

    def __init__(self, seconds: dict[tuple[str, str], float], workers: int):
        self.left, self.workers, self.total = dict(seconds), workers, len(seconds)
        self.expected = self.taken = 0.0
        self.lock = threading.Lock()

    def remaining(self) -> float:
        """Seconds to go: the stages left, shared out, but no less than the longest run takes one after the other."""
        runs: dict[str, float] = {}
        for (run_id, _), seconds in self.left.items():
            runs[run_id] = runs.get(run_id, 0.0) + seconds
        pace = self.taken / self.expected if self.expected else 1.0
        return pace * max(sum(runs.values()) / self.workers, max(runs.values(), default=0.0))

    def finish(self, run_id: str, stage: str, seconds: float) -> str:
        """Take a stage off the list; a line that says what is left."""
        with self.lock:
            self.expected += self.left.pop((run_id, stage), 0.0)
            self.taken += seconds
            done = f"{self.total - len(self.left)} of {self.total} stages"
            left = f", about {duration(self.remaining())} left" if self.left else ""
            return f"{run_id}: {stage} done in {duration(seconds)}; {done}{left}"

    def drop(self, run_id: str) -> None:
        """A run that failed or is computed elsewhere: its stages are no longer waited for."""
        with self.lock:
            kept = {key: value for key, value in self.left.items() if key[0] != run_id}
            self.total -= len(self.left) - len(kept)
            self.left = kept


def execute_run(
    run: RunFolder,
    parameters: dict,
    report: Callable[[str, float], None],
    wanted: Sequence[str] = STAGES,
    force: bool = False,
) -> list[str]:
    """Execute the wanted stages of one run that have no current result, or all of them by ``force``.

    The run is held against other processes meanwhile. ``report`` is called with each stage that ends and the seconds
    it took. Returns the stages that were executed.

    Raises:
        BusyError: another process holds it.
        NotebookError, ResultError: a stage failed.
    """

    def pending(stage: str) -> bool:
        return force or stage_state(run, stage, parameters) != "done"

    if not any(map(pending, wanted)):
        return []
    executed = []
    with run.locked("run.lock", BusyError):
        for stage in wanted:
            if pending(stage):
                began = time.perf_counter()
                execute_stage(run, stage, parameters)
                executed.append(stage)
                report(stage, time.perf_counter() - began)
    return executed


def all_stages(config: RunConfig) -> Sequence[str]:
    """Every stage, for every run."""
    return STAGES


def possible_stages(run: RunFolder, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted stages, less those that need the whole path of a training that came without it, as with a clone."""
    bare = run.state("train") == "done" and not run.file("trajectory.safetensors").exists()
    return tuple(stage for stage in wanted if not (bare and stage in FROM_PATH))


def pending_stages(
    runs: Sequence[RunFolder], parameters: dict, wanted: Wanted = all_stages
) -> list[tuple[RunConfig, str]]:
    """The wanted stages of the runs that have no current result and can be computed."""
    return [
        (run.config, stage)
        for run in runs
        for stage in possible_stages(run, wanted(run.config))
        if stage_state(run, stage, parameters) != "done"
    ]


def share_processors(runs: int, workers: int | None = None) -> tuple[int, int]:
    """Runs at a time, and threads for each: one run a processor, or one run where there is a GPU."""
    found = processors()
    workers = workers or (1 if torch.cuda.is_available() else max(1, min(found, runs)))
    return workers, max(1, found // workers)


def execute_sweep(
    runs: Sequence[RunFolder],
    parameters: dict,
    workers: int | None,
    report: Callable[[str], None],
    wanted: Wanted = all_stages,
    progress: Progress | None = None,
) -> list[Outcome]:
    """Execute the runs' notebooks in worker processes, the processors shared out among them.

    Args:
        runs: in the order in which they start.
        parameters: of the stage notebooks, for every run.
        workers: runs at a time; None as `share_processors`.
        report: called with a line for every run that ends, and with ``progress`` for every stage.
        wanted: stages of each run.
        progress: of the pending stages.

    Raises:
        KeyboardInterrupt: as soon as the running notebooks are ended; what they have kept stays.
    """
    workers, threads = share_processors(len(runs), workers)
    stopped = threading.Event()

    def execute(numbered: tuple[int, RunFolder]) -> Outcome:
        number, run = numbered
        if stopped.is_set():
            return Outcome(run, "failed", "interrupted", 0.0)

        def ended(stage: str, seconds: float) -> None:
            if progress:
                report(progress.finish(run.run_id, stage, seconds))

        outcome = _execute_missing(run, parameters, wanted(run.config), ended)
        if stopped.is_set() and outcome.result == "failed":  # its kernel was ended, see below
            return Outcome(run, "failed", "interrupted", outcome.seconds)
        if progress:
            progress.drop(run.run_id)
        label = f"[{number}/{len(runs)}] {run.run_id}: {outcome.result}"
        report(f"{label} ({outcome.seconds:.0f} s)" + (f"\n  {outcome.message}" if outcome.message else ""))
        return outcome

    # Every notebook has a kernel, a process of its own; the threads here only wait for them. A kernel does not hear of
    # an interrupt of this process: it is ended here, its run goes on from there another time.
    with environment(dict.fromkeys(THREAD_VARIABLES, str(threads))), ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(execute, enumerate(runs, start=1)))
        except KeyboardInterrupt:
            stopped.set()
            for kernel in psutil.Process().children(recursive=True):
                kernel.terminate()
            raise


def _execute_missing(
    run: RunFolder, parameters: dict, wanted: Sequence[str], ended: Callable[[str, float], None]
) -> Outcome:
    began, message = time.perf_counter(), ""
    possible = possible_stages(run, wanted)
    barred = [stage for stage in wanted if stage not in possible and stage_state(run, stage, parameters) != "done"]
    if barred:
        message = f"left out: {', '.join(barred)}; the whole path of this training is not published, see `qpatch run`"
    try:
        result = "done" if execute_run(run, parameters, ended, possible) else "skipped"
    except BusyError as error:
        result, message = "busy", str(error)
    except Exception as error:  # whatever ends a run must not end the sweep
        result, message = "failed", f"{type(error).__name__}: {error}"
    return Outcome(run, result, message, time.perf_counter() - began)


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile (the notebooks' kernels)."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
