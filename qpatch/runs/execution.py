"""One run executed: the stages that have no current result, in one kernel, held against other processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from qpatch.config import ConfigError
from qpatch.files import ResultError
from qpatch.runs.notebooks import NotebookError, execute_stage, kernel
from qpatch.runs.parameters import DEVICE
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

if TYPE_CHECKING:
    from qpatch.model.world import World


class BusyError(ResultError):
    """Another process computes the run."""


def possible_stages(run: RunFolder, wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted stages, less those that need what a published training came without: its whole path."""
    if run.state("train") != "done":
        return tuple(wanted)
    return tuple(stage for stage in wanted if all(run.file(name).is_file() for name in STAGES[stage].needs))


def pending_stages(run: RunFolder, parameters: dict, wanted: Sequence[str]) -> list[str]:
    """The wanted stages of a run that have no current result and can be computed."""
    return [stage for stage in possible_stages(run, wanted) if run.state(stage, parameters) != "done"]


def execute_run(
    run: RunFolder,
    parameters: dict,
    report: Callable[[str, float], None],
    wanted: Sequence[str],
    force: bool = False,
    world: World | None = None,
) -> list[str]:
    """Execute the wanted stages of one run that have no current result; by ``force`` also those that have.

    The run is held against other processes meanwhile. ``report`` is called with each stage that ends and the seconds
    it took. In a ``world`` of processes, which this one leads, they compute a stage before its notebook shows it.
    Returns the stages that were executed.

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
            if world is not None:
                _compute(run, stage, parameters, force, world)
            pool.submit(execute_stage, run, stage, parameters, manager, force and world is None).result()
            executed.append(stage)
            report(stage, time.perf_counter() - began)
    return executed


def _compute(run: RunFolder, stage: str, parameters: dict, force: bool, world: World) -> None:
    from qpatch.runs.compute import compute_stage  # which loads PyTorch

    own = {name: value for name, value in parameters.items() if name in STAGES[stage].parameters}
    try:
        compute_stage(stage, run.config, parameters.get("device", DEVICE), replace=force, world=world, **own)
    except (ConfigError, ResultError, OSError):
        raise
    except Exception as error:
        raise NotebookError(f"{run.run_id}: the {stage} stage failed ({type(error).__name__}: {error})") from error
