"""Runs one after the other or side by side; what is done is skipped, what fails is reported and stops no other."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from qpatch.notebooks import execute_stage, stage_state
from qpatch.results import STAGES, ResultError, RunFolder

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


def execute_run(
    run: RunFolder,
    parameters: dict,
    report: Callable[[str], None],
    wanted: Sequence[str] = STAGES,
    force: bool = False,
) -> list[str]:
    """Execute the wanted stages of one run that have no current result, or all of them by ``force``.

    The run is held against other processes meanwhile. Returns the stages that were executed.

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
                report(f"{run.run_id}: {stage} done in {time.perf_counter() - began:.0f} s")
    return executed


def execute_sweep(
    runs: Sequence[RunFolder], parameters: dict, workers: int | None, report: Callable[[str], None]
) -> list[Outcome]:
    """Execute the runs' notebooks in worker processes, the processors shared out among them.

    Args:
        runs: in the order in which they start.
        parameters: of the stage notebooks, for every run.
        workers: runs at a time; None takes one a processor, or one where there is a GPU.
        report: called with a line for every run that ends.
    """
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = workers or (1 if torch.cuda.is_available() else min(processors, len(runs)))
    threads = max(1, processors // workers)

    def execute(numbered: tuple[int, RunFolder]) -> Outcome:
        number, run = numbered
        outcome = _execute_missing(run, parameters)
        label = f"[{number}/{len(runs)}] {run.run_id}: {outcome.result}"
        report(f"{label} ({outcome.seconds:.0f} s)" + (f"\n  {outcome.message}" if outcome.message else ""))
        return outcome

    # Every notebook has a kernel, a process of its own; the threads here only wait for them.
    with _thread_cap(threads), ThreadPoolExecutor(workers) as pool:
        return list(pool.map(execute, enumerate(runs, start=1)))


def _execute_missing(run: RunFolder, parameters: dict) -> Outcome:
    began, message = time.perf_counter(), ""
    try:
        result = "done" if execute_run(run, parameters, lambda line: None) else "skipped"
    except BusyError as error:
        result, message = "busy", str(error)
    except Exception as error:  # whatever ends a run must not end the sweep
        result, message = "failed", f"{type(error).__name__}: {error}"
    return Outcome(run, result, message, time.perf_counter() - began)


@contextlib.contextmanager
def _thread_cap(threads: int) -> Iterator[None]:
    """Let the processes started meanwhile (the notebooks' kernels) use so many threads each."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
