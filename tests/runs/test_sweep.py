"""Sweeps, with the notebooks replaced by something quick: skipping, failing, busy runs, and shared processors."""

import os
import signal
import subprocess
import threading
import time

import pytest
from helpers import TINY, held_by_another_process, store_hessian, store_landscape, store_spectrum, store_training
from numpy import ones
from pandas import DataFrame

from qpatch.runs import sweep
from qpatch.runs.notebooks import NotebookError, recorded_parameters
from qpatch.runs.store import OUTPUTS, STAGES, RunFolder

CONFIGS = [TINY, TINY.replace(seed=2), TINY.replace(seed=3)]
LOSSES = [2.0, 1.0, 1.0, 1.0, 1.0]


def store_all_stages(config) -> None:
    run = store_training(config, LOSSES)
    store_hessian(run, [3.0], recorded_parameters("hessian", {}))
    store_landscape(run, [0.0, 1.0], [0.0, 1.0], ones((2, 2)))
    run.write_record("landscape", recorded_parameters("landscape", {}), 1.0, {}, ratios=[0.7, 0.2], best_epoch=0)
    store_spectrum(run, recorded_parameters("spectrum", {}))
    for name in OUTPUTS["slices"]:
        run.write_csv(name, DataFrame({"loss": [1.0]}))
    run.write_record("slices", recorded_parameters("slices", {}), 1.0, {})


@pytest.fixture
def executed(monkeypatch):
    """What was executed, as (seed, stage); run 2 fails in its Hessian."""
    calls = []

    def execute(run, stage, parameters):
        calls.append((run.config.seed, stage))
        if (run.config.seed, stage) == (2, "hessian"):
            raise NotebookError("cell 3 of the hessian notebook failed")

    monkeypatch.setattr(sweep, "execute_stage", execute)
    return calls


def run_sweep(configs=CONFIGS, workers=1, parameters=None):
    lines = []
    outcomes = sweep.execute_sweep([RunFolder(config) for config in configs], parameters or {}, workers, lines.append)
    return {outcome.run.config.seed: outcome for outcome in outcomes}, lines


def test_all_stages_of_all_runs_are_executed_in_order(executed):
    outcomes, _ = run_sweep([CONFIGS[0], CONFIGS[2]])
    assert executed == [(seed, stage) for seed in (1001, 3) for stage in STAGES]
    assert {outcome.result for outcome in outcomes.values()} == {"done"}


def test_an_interrupt_ends_the_running_notebook_and_begins_no_other(monkeypatch):
    """The notebook is a process of its own that would take a minute."""
    calls = []

    def execute(run, stage, parameters):
        calls.append((run.config.seed, stage))
        process = subprocess.Popen(["sleep", "60"], start_new_session=True)  # as Jupyter starts its kernels
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if process.wait() != 0:
            raise NotebookError("the process died")

    monkeypatch.setattr(sweep, "execute_stage", execute)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_sweep()
    assert time.monotonic() - began < 30
    assert calls == [(1001, "train")]


def test_a_failed_run_is_reported_and_stops_no_other(executed):
    outcomes, lines = run_sweep()
    assert {seed: outcome.result for seed, outcome in outcomes.items()} == {1001: "done", 2: "failed", 3: "done"}
    assert outcomes[2].message == "NotebookError: cell 3 of the hessian notebook failed"
    assert (2, "landscape") not in executed
    assert lines[1].startswith(f"[2/3] {CONFIGS[1].run_id}: failed (")
    assert "cell 3 of the hessian notebook failed" in lines[1]


def test_what_is_done_is_skipped(executed):
    store_all_stages(CONFIGS[0])
    store_training(CONFIGS[2], LOSSES)
    outcomes, lines = run_sweep([CONFIGS[0], CONFIGS[2]])
    assert outcomes[1001].result == "skipped"
    assert executed == [(3, stage) for stage in STAGES[1:]]
    assert f"[1/2] {TINY.run_id}: skipped" in lines[0]


def test_other_parameters_are_computed_again_for_their_stage(executed):
    store_all_stages(TINY)
    run_sweep([TINY], parameters={"tolerance": 1e-6})
    assert executed == [(1001, "hessian")]


def test_a_run_of_another_sweep_is_busy_and_the_others_go_on(executed):
    with held_by_another_process(TINY, "run.lock"):
        outcomes, lines = run_sweep([CONFIGS[0], CONFIGS[2]])
    assert outcomes[1001].result == "busy"
    assert f"{TINY.run_id} is being computed by another process" in outcomes[1001].message
    assert outcomes[3].result == "done"
    assert {seed for seed, _ in executed} == {3}
    assert len(lines) == 2


def test_a_results_folder_that_cannot_be_made_fails_every_run(executed, results_folder):
    results_folder.write_text("a file in the place of the folder")
    outcomes, _ = run_sweep()
    assert {outcome.result for outcome in outcomes.values()} == {"failed"}
    assert all("set QPATCH_RESULTS to a folder" in outcome.message for outcome in outcomes.values())
    assert executed == []


def test_processors_are_shared_out_among_the_workers_and_given_back(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    seen = []
    monkeypatch.setattr(
        sweep, "execute_stage", lambda *args: seen.append([os.environ[name] for name in sweep.THREAD_VARIABLES])
    )
    run_sweep(workers=4)
    assert seen == [["2"] * len(sweep.THREAD_VARIABLES)] * (3 * len(STAGES))
    assert os.environ["OMP_NUM_THREADS"] == "5"
    assert "MKL_NUM_THREADS" not in os.environ


# -- progress -----------------------------------------------------------------------------------------------------


def test_progress_counts_stages_and_corrects_its_estimate_by_what_was_taken():
    progress = sweep.Progress({("a", "train"): 100.0, ("a", "hessian"): 20.0, ("b", "train"): 100.0}, workers=2)
    assert progress.remaining() == 120  # the longer run, after 110 on two workers
    line = progress.finish("b", "train", 200.0)  # twice as long as estimated
    assert line == "b: train done in 3 min; 1 of 3 stages, about 4 min left"
    assert progress.remaining() == 240
    progress.finish("a", "train", 100.0)
    assert progress.remaining() == 20 * 1.5
    assert progress.finish("a", "hessian", 20.0) == "a: hessian done in 20 s; 3 of 3 stages"


def test_a_failed_run_is_no_longer_waited_for():
    progress = sweep.Progress({("a", "train"): 100.0, ("b", "train"): 50.0}, workers=1)
    progress.drop("a")
    assert progress.remaining() == 50
    assert progress.finish("b", "train", 50.0).endswith("; 1 of 1 stages")


def test_a_sweep_says_what_is_left_after_every_stage(executed):
    def first_two(config):
        return STAGES[:2]

    runs = [RunFolder(config) for config in (CONFIGS[0], CONFIGS[2])]
    pending = sweep.pending_stages(runs, {}, first_two)
    assert pending == [(run.config, stage) for run in runs for stage in STAGES[:2]]
    progress, lines = sweep.Progress({(config.run_id, stage): 60.0 for config, stage in pending}, 1), []
    sweep.execute_sweep(runs, {}, 1, lines.append, first_two, progress)
    assert executed == [(seed, stage) for seed in (1001, 3) for stage in STAGES[:2]]
    assert [line.split("; ")[1].split(" stages")[0] for line in lines if "stages" in line] == [
        f"{done} of 4" for done in (1, 2, 3, 4)
    ]
    assert len(lines) == 6  # and one a run


def test_stages_from_a_path_that_is_not_published_are_left_out(executed):
    """As with a run that came with a clone: all but its cache is there."""
    run = RunFolder(TINY)
    store_all_stages(TINY)
    (run.path / "landscape.json").unlink()
    run.file("trajectory.safetensors").unlink()
    assert sweep.possible_stages(run, STAGES) == ("train", "hessian", "spectrum")
    assert sweep.pending_stages([run], {}) == []
    (outcome,) = sweep.execute_sweep([run], {}, 1, lambda line: None)
    assert (outcome.result, executed) == ("skipped", [])
    assert outcome.message.startswith("left out: landscape; ")
    run.file("trajectory.safetensors").touch()
    assert sweep.pending_stages([run], {}) == [(TINY, "landscape")]


def test_what_is_done_is_not_pending():
    store_all_stages(TINY)
    assert sweep.pending_stages([RunFolder(TINY)], {}) == []
    assert sweep.pending_stages([RunFolder(TINY)], {"tolerance": 1e-6}) == [(TINY, "hessian")]
