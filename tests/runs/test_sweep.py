"""Sweeps, with something quick in the place of runs: skipping, failing, busy and stopped runs, shared processors."""

import os
import signal
import sys
import threading
import time

import psutil
import pytest
from helpers import (
    MACHINE,
    TINY,
    held_by_another_process,
    store_flatness,
    store_hessian,
    store_landscape,
    store_slices,
    store_spectrum,
    store_training,
)
from numpy import ones

from qpatch.runs import sweep
from qpatch.runs.costs import Remaining
from qpatch.runs.execution import pending_stages, possible_stages
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

FIRST = ("train", "hessian")
CONFIGS = [TINY, TINY.replace(seed=2), TINY.replace(seed=3)]
LOSSES = [2.0, 1.0, 1.0, 1.0, 1.0]


def store_all_stages(config) -> None:
    run = store_training(config, LOSSES)
    store_hessian(run, [3.0], STAGES["hessian"].recorded({}))
    store_landscape(run, [0.0, 1.0], [0.0, 1.0], ones((2, 2)))
    run.write_record("landscape", STAGES["landscape"].recorded({}), 1.0, MACHINE, ratios=[0.7, 0.2], best_epoch=0)
    store_spectrum(run, STAGES["spectrum"].recorded({}))
    store_slices(run, STAGES["slices"].recorded({}))
    store_flatness(run, STAGES["flatness"].recorded({}))


# In the place of `qpatch run --worker`: notes its stages and threads in the results folder; run 2 fails in its Hessian.
WORKER = """
import json, os, sys
from pathlib import Path
from qpatch.runs.store import results_folder
arguments = sys.argv[1:]
stages = [value for option, value in zip(arguments, arguments[1:]) if option == "--stage"]
seed = next((value[5:] for value in arguments if value.startswith("seed=")), "1001")
results_folder().mkdir(parents=True, exist_ok=True)
for stage in stages:
    with open(results_folder() / "executed.txt", "a") as file:
        print(seed, stage, os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"], file=file)
    if (seed, stage) == ("2", "hessian"):
        sys.exit("qpatch: cell 3 of the hessian notebook failed")
    print(json.dumps({"stage": stage, "seconds": 1.0}), flush=True)
"""
SLEEPER = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"


def in_place_of_runs(monkeypatch, script: str) -> None:
    popen = sweep.subprocess.Popen

    def start(command, **options):
        if command[1:5] != ["-m", "qpatch", "run", "--worker"]:
            return popen(command, **options)
        return popen([sys.executable, "-c", script, *command[5:]], **options)

    monkeypatch.setattr(sweep.subprocess, "Popen", start)


@pytest.fixture
def executed(monkeypatch, results_folder):
    """What was executed, as a function: pairs of seed and stage."""
    in_place_of_runs(monkeypatch, WORKER)
    file = results_folder / "executed.txt"

    def read() -> list[tuple[int, str]]:
        rows = file.read_text().splitlines() if file.exists() else []
        return [(int(row.split()[0]), row.split()[1]) for row in rows]

    return read


def run_sweep(configs=CONFIGS, workers=1, parameters=None):
    lines = []
    plan = {RunFolder(config): tuple(STAGES) for config in configs}
    outcomes = sweep.execute_sweep(plan, parameters or {}, workers, lines.append)
    return {outcome.run.config.seed: outcome for outcome in outcomes}, lines


def test_all_stages_of_all_runs_are_executed_in_order(executed):
    outcomes, _ = run_sweep([CONFIGS[0], CONFIGS[2]])
    assert executed() == [(seed, stage) for seed in (1001, 3) for stage in STAGES]
    assert {outcome.result for outcome in outcomes.values()} == {"done"}


@pytest.fixture
def interruptible():
    """Ctrl-C raises, as where Python starts in a terminal: a shell's background jobs are born deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_what_ends_a_sweep_ends_its_runs_and_begins_no_other(monkeypatch, interruptible):
    """Each run has a process of its own, which would take a minute."""
    in_place_of_runs(monkeypatch, SLEEPER)
    before = set(psutil.Process().children(recursive=True))
    threading.Timer(2.0, lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)).start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_sweep()
    assert time.monotonic() - began < 30
    assert set(psutil.Process().children(recursive=True)) == before


def test_a_failed_run_is_reported_and_stops_no_other(executed):
    outcomes, lines = run_sweep()
    assert {seed: outcome.result for seed, outcome in outcomes.items()} == {1001: "done", 2: "failed", 3: "done"}
    assert outcomes[2].message == "cell 3 of the hessian notebook failed"
    assert (2, "landscape") not in executed()
    assert lines[1].startswith(f"[2/3] {CONFIGS[1].run_id}: failed (")
    assert "cell 3 of the hessian notebook failed" in lines[1]


def test_what_is_done_is_skipped(executed):
    store_all_stages(CONFIGS[0])
    store_training(CONFIGS[2], LOSSES)
    outcomes, lines = run_sweep([CONFIGS[0], CONFIGS[2]])
    assert outcomes[1001].result == "skipped"
    assert f"[1/2] {TINY.run_id}: skipped" in lines[0]


def test_a_finished_stage_of_other_parameters_is_not_replaced(executed):
    store_all_stages(TINY)
    outcomes, _ = run_sweep([TINY, CONFIGS[1]], parameters={"tolerance": 1e-6})
    assert outcomes[1001].result == "failed"
    assert "the hessian stage" in outcomes[1001].message
    assert "tolerance 0.001, not 1e-06; --force" in outcomes[1001].message
    assert {seed for seed, _ in executed()} == {2}


def test_a_run_of_another_sweep_is_busy_and_the_others_go_on(monkeypatch):
    """The run itself, as it is, finds the lock; nothing of it starts."""
    with held_by_another_process(TINY, "run.lock"):
        outcomes, _ = run_sweep([TINY])
    assert outcomes[1001].result == "busy"
    assert f"{TINY.run_id} is being computed by another process" in outcomes[1001].message


def test_a_results_folder_that_cannot_be_made_fails_the_run(results_folder):
    results_folder.write_text("a file in the place of the folder")
    outcomes, _ = run_sweep([TINY])
    assert outcomes[1001].result == "failed"
    assert "set QPATCH_RESULTS to a folder" in outcomes[1001].message


def test_processors_are_shared_out_among_the_workers(monkeypatch, executed, results_folder):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    run_sweep(workers=4)
    rows = (results_folder / "executed.txt").read_text().splitlines()
    assert {tuple(row.split()[2:]) for row in rows} == {("2", "2")}
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ


# -- progress -----------------------------------------------------------------------------------------------------


def test_progress_counts_stages_and_corrects_its_estimate_by_what_was_taken():
    progress = Remaining({("a", "train"): 100.0, ("a", "hessian"): 20.0, ("b", "train"): 100.0}, workers=2)
    assert progress.seconds() == 120  # the longer run, after 110 on two workers
    line = progress.finish("b", "train", 200.0)  # twice as long as estimated
    assert line == "b: train done in 3 min; 1 of 3 stages, about 4 min left"
    assert progress.seconds() == 240
    progress.finish("a", "train", 100.0)
    assert progress.seconds() == 20 * 1.5
    assert progress.finish("a", "hessian", 20.0) == "a: hessian done in 20 s; 3 of 3 stages"


def test_a_failed_run_is_no_longer_waited_for():
    progress = Remaining({("a", "train"): 100.0, ("b", "train"): 50.0}, workers=1)
    progress.drop("a")
    assert progress.seconds() == 50
    assert progress.finish("b", "train", 50.0).endswith("; 1 of 1 stages")


def test_a_sweep_says_what_is_left_after_every_stage(executed):
    runs = [RunFolder(config) for config in (CONFIGS[0], CONFIGS[2])]
    progress, lines = Remaining({(run.run_id, stage): 60.0 for run in runs for stage in FIRST}, 1), []
    sweep.execute_sweep(dict.fromkeys(runs, FIRST), {}, 1, lines.append, progress)
    assert executed() == [(seed, stage) for seed in (1001, 3) for stage in FIRST]
    assert [line.split("; ")[1].split(" stages")[0] for line in lines if "stages" in line] == [
        f"{done} of 4" for done in (1, 2, 3, 4)
    ]
    assert len(lines) == 6  # and one a run


def test_stages_from_a_path_that_is_not_published_are_left_out(executed):
    """As with a run that came with a clone: all but its cache is there."""
    run = RunFolder(TINY)
    store_all_stages(TINY)
    (run.path / "landscape.json").unlink()
    run.file("trajectory.safetensors").rename(run.path / "path")
    assert possible_stages(run, tuple(STAGES)) == ("train", "hessian", "spectrum")
    assert pending_stages(run, {}, tuple(STAGES)) == []
    (outcome,) = sweep.execute_sweep({run: tuple(STAGES)}, {}, 1, lambda line: None)
    assert (outcome.result, executed()) == ("skipped", [])
    assert outcome.message.startswith("left out: landscape; ")
    (run.path / "path").rename(run.file("trajectory.safetensors"))
    assert pending_stages(run, {}, tuple(STAGES)) == ["landscape"]


def test_what_is_done_is_not_pending():
    store_all_stages(TINY)
    assert pending_stages(RunFolder(TINY), {}, tuple(STAGES)) == []
    assert pending_stages(RunFolder(TINY), {"tolerance": 1e-6}, tuple(STAGES)) == ["hessian"]
