"""Runs side by side, each a process of its own; what is done is skipped, what fails is reported and stops no other."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from qpatch.files import ResultError
from qpatch.runs.costs import Remaining
from qpatch.runs.execution import pending_stages, possible_stages
from qpatch.runs.provenance import code_digest, processors
from qpatch.runs.store import RunFolder

BUSY = 75  # exit status of a run that another process holds (EX_TEMPFAIL)
END_SECONDS = 8  # that a run has to end its kernel before it is killed
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Outcome:
    """How a run of a sweep ended: 'done', 'skipped' (it was done before), 'busy' or 'failed', and why."""

    run: RunFolder
    result: str
    message: str
    seconds: float


def share_processors(runs: int, workers: int | None = None) -> tuple[int, int]:
    """Runs at a time, and threads for each: one run a processor, or one run where there is a GPU."""
    found = processors()
    if workers is None:
        import torch  # the only question to it

        workers = 1 if torch.cuda.is_available() else max(1, min(found, runs))
    return workers, max(1, found // workers)


def worker_command(run: RunFolder, parameters: dict, stages: Sequence[str]) -> list[str]:
    """A process that executes stages of a run with this version of the code, and with no other."""
    command = [sys.executable, "-m", "qpatch", "run", "--worker", code_digest(), *run.config.command_options.split()]
    command += [part for name, value in parameters.items() for part in ("-p", f"{name}={value}")]
    return command + [part for stage in stages for part in ("--stage", stage)]


def execute_sweep(
    plan: Mapping[RunFolder, Sequence[str]],
    parameters: dict,
    workers: int | None,
    report: Callable[[str], None],
    remaining: Remaining | None = None,
) -> list[Outcome]:
    """Execute the planned stages of runs as processes of ``qpatch run``, the processors shared out among them.

    At most ``workers`` at a time, None as `share_processors`. ``report`` is called with a line for every run that ends,
    and with what is ``remaining`` of the pending stages for every stage. Whatever ends this call early ends the runs
    at work, too; what they have kept stays.
    """
    workers, threads = share_processors(len(plan), workers)
    events: queue.Queue = queue.Queue()  # a run and a line that its process says, None where that has ended
    waiting, working, said, began, outcomes = list(plan), {}, {}, {}, {}

    def close(run: RunFolder, result: str, message: str) -> None:
        outcomes[run] = Outcome(run, result, message, time.perf_counter() - began[run])
        if remaining:
            remaining.drop(run.run_id)
        line = f"[{list(plan).index(run) + 1}/{len(plan)}] {run.run_id}: {result} ({outcomes[run].seconds:.0f} s)"
        report(line + (f"\n  {message}" if message else ""))

    try:
        while waiting or working:
            if waiting and len(working) < workers:
                run = waiting.pop(0)
                began[run], said[run] = time.perf_counter(), []
                try:
                    if not _start(run, parameters, plan[run], threads, working, events):
                        close(run, "skipped", _left_out(run, parameters, plan[run]))
                except ResultError as error:
                    close(run, "failed", str(error))
                continue
            run, line = events.get()
            if line is None:
                result, message = _result(working.pop(run).returncode, "".join(said[run]))
                close(run, result, message or _left_out(run, parameters, plan[run]))
            elif not line.startswith("{"):  # a message, not a stage that ended
                said[run].append(line)
            elif remaining:
                report(remaining.finish(run.run_id, **json.loads(line)))
    finally:
        _end(working.values())
    return [outcomes[run] for run in plan]


def _start(
    run: RunFolder, parameters: dict, wanted: Sequence[str], threads: int, working: dict, events: queue.Queue
) -> bool:
    """Start the process of a run, whose lines come as events; False where there is nothing to do."""
    possible = possible_stages(run, wanted)
    run.refuse_to_replace(possible, parameters)
    if not pending_stages(run, parameters, possible):
        return False
    pipe = subprocess.PIPE
    process = working[run] = subprocess.Popen(
        worker_command(run, parameters, possible), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True,
        start_new_session=True, env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads)),
    )  # fmt: skip

    def follow() -> None:
        for line in process.stdout:
            events.put((run, line))
        process.wait()
        events.put((run, None))

    threading.Thread(target=follow, daemon=True).start()
    return True


def _result(status: int, said: str) -> tuple[str, str]:
    """How a process ended, by its exit status, and why where it failed."""
    if not status:
        return "done", ""
    message = said.strip().removeprefix("qpatch: ") or f"its process ended with status {status}"
    return "busy" if status == BUSY else "failed", message


def _end(processes: Collection[subprocess.Popen]) -> None:
    """Tell runs to end, wait for them, kill those that do not."""
    for process in processes:
        process.terminate()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        process.kill()


def _left_out(run: RunFolder, parameters: dict, wanted: Sequence[str]) -> str:
    barred = set(wanted) - set(possible_stages(run, wanted))
    barred = [stage for stage in wanted if stage in barred and run.state(stage, parameters) != "done"]
    left_out = f"left out: {', '.join(barred)}; the whole path of this training is not published, see `qpatch run`"
    return left_out if barred else ""
