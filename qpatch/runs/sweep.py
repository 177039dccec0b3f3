"""Runs side by side, each a process of its own; what is done is skipped, what fails is reported and stops no other."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
    events: queue.Queue = queue.Queue()
    waiting = list(enumerate((_Worker(run, parameters, wanted, threads) for run, wanted in plan.items()), start=1))
    begun, working, outcomes = dict(waiting), set(), {}

    def close(number: int, outcome: Outcome) -> None:
        outcomes[number] = outcome
        if remaining:
            remaining.drop(outcome.run.run_id)
        line = f"[{number}/{len(plan)}] {outcome.run.run_id}: {outcome.result} ({outcome.seconds:.0f} s)"
        report(line + (f"\n  {outcome.message}" if outcome.message else ""))

    try:
        while waiting or working:
            while waiting and len(working) < workers:
                number, worker = waiting.pop(0)
                if outcome := worker.start(number, events):
                    close(number, outcome)
                else:
                    working.add(number)
            if not working:
                continue
            number, line = events.get()
            if line is None:
                working.remove(number)
                close(number, begun[number].outcome())
            elif remaining:
                report(remaining.finish(begun[number].run.run_id, **json.loads(line)))
    finally:
        _end([worker.process for worker in begun.values() if worker.process and worker.process.poll() is None])
    return [outcomes[number] for number in sorted(outcomes)]


def _end(processes: list[subprocess.Popen]) -> None:
    """Tell runs to end, wait for them, kill those that do not."""
    for process in processes:
        process.terminate()
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
        process.kill()


@dataclass
class _Worker:
    """One run of a sweep, and its process where there is something to do."""

    run: RunFolder
    parameters: dict
    wanted: Sequence[str]
    threads: int
    process: subprocess.Popen | None = None
    said: list[str] = field(default_factory=list)
    began: float = 0.0

    def start(self, number: int, events: queue.Queue) -> Outcome | None:
        """Start the process, whose lines come as events, None the last; the outcome where there is nothing to start."""
        self.began, possible = time.perf_counter(), possible_stages(self.run, self.wanted)
        try:
            self.run.refuse_to_replace(possible, self.parameters)
        except ResultError as error:
            return self._ended("failed", str(error))
        if not pending_stages(self.run, self.parameters, possible):
            return self._ended("skipped", self._left_out())
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            worker_command(self.run, self.parameters, possible), text=True, start_new_session=True,
            stdin=pipe, stdout=pipe, stderr=pipe, env=os.environ | dict.fromkeys(THREAD_VARIABLES, str(self.threads)),
        )  # fmt: skip
        threading.Thread(target=self._follow, args=(number, events), daemon=True).start()
        return None

    def _follow(self, number: int, events: queue.Queue) -> None:
        errors = threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True)
        errors.start()
        for line in self.process.stdout:
            events.put((number, line))
        errors.join()
        self.process.wait()
        events.put((number, None))

    def outcome(self) -> Outcome:
        """That of a process that has ended."""
        status = self.process.returncode
        if not status:
            return self._ended("done", self._left_out())
        message = "".join(self.said).strip().removeprefix("qpatch: ") or f"its process ended with status {status}"
        return self._ended("busy" if status == BUSY else "failed", message)

    def _ended(self, result: str, message: str) -> Outcome:
        return Outcome(self.run, result, message, time.perf_counter() - self.began)

    def _left_out(self) -> str:
        possible = possible_stages(self.run, self.wanted)
        barred = [stage for stage in self.wanted if stage not in possible]
        barred = [stage for stage in barred if self.run.state(stage, self.parameters) != "done"]
        if not barred:
            return ""
        return f"left out: {', '.join(barred)}; the whole path of this training is not published, see `qpatch run`"
