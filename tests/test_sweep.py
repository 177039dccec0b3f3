"""Sweeps, with the notebooks replaced by something quick: skipping, failing, busy runs, and shared processors."""

import os

import pytest
from helpers import TINY, held_by_another_process, store_hessian, store_landscape, store_spectrum, store_training
from numpy import ones

from qpatch import sweep
from qpatch.notebooks import NotebookError, recorded_parameters
from qpatch.results import STAGES, RunFolder

CONFIGS = [TINY, TINY.replace(seed=2), TINY.replace(seed=3)]
LOSSES = [2.0, 1.0, 1.0, 1.0, 1.0]


def store_all_stages(config) -> None:
    run = store_training(config, LOSSES)
    store_hessian(run, [3.0], recorded_parameters("hessian", {}))
    store_landscape(run, [0.0, 1.0], [0.0, 1.0], ones((2, 2)))
    run.write_record("landscape", recorded_parameters("landscape", {}), 1.0, {}, ratios=[0.7, 0.2], best_epoch=0)
    store_spectrum(run, recorded_parameters("spectrum", {}))


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
