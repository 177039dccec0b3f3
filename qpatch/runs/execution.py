"""One run executed: the stages that have no current result, in one kernel, held against other processes."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from qpatch.files import ResultError
from qpatch.runs.notebooks import execute_stage, kernel
from qpatch.runs.store import RunFolder


class BusyError(ResultError):
    """Another process computes the run."""


def possible_stages(run: RunFolder, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted stages, less those that need what a published training came without: its whole path."""
    if run.state("train") != "done":
        return tuple(wanted)
    return tuple(stage for stage in wanted if not run.lacks(stage))


def pending_stages(run: RunFolder, parameters: dict, wanted: Sequence[str]) -> list[str]:
    """The wanted stages of a run that have no current result and can be computed."""
    return [stage for stage in possible_stages(run, wanted) if run.state(stage, parameters) != "done"]


def execute_run(
    run: RunFolder, parameters: dict, report: Callable[[str, float], None], wanted: Sequence[str], force: bool = False
) -> list[str]:
    """Execute the wanted stages of one run that have no current result; by ``force`` also those that have.

    The run is held against other processes meanwhile. ``report`` is called with each stage that ends and the seconds
    it took. Returns the stages that were executed.

    Raises:
        BusyError: another process holds it.
        NotebookError, ResultError: a stage failed, or is finished with other parameters.
    """

    def pending() -> list[str]:
        return [stage for stage in wanted if force or run.state(stage, parameters) != "done"]

    if not pending():
        return []
    if not force:
        run.refuse_to_replace(wanted, parameters)
    executed = []
    # Papermill works in a thread of its own: in the main one it would take over the signals that stop a run. The kernel
    # ends before that thread is waited for.
    with run.locked("run.lock", BusyError), ThreadPoolExecutor(1) as pool, kernel(run) as manager:
        for stage in pending():
            began = time.perf_counter()
            pool.submit(execute_stage, run, stage, parameters, manager, force).result()
            executed.append(stage)
            report(stage, time.perf_counter() - began)
    return executed
