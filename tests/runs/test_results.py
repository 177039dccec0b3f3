"""Stored results: what is done, missing or stale, what validation finds, tables, and one writer at a time."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import (
    MACHINE,
    REPOSITORY,
    TINY,
    flip_byte,
    held_by_another_process,
    start_python,
    store_flatness,
    store_hessian,
    store_landscape,
    store_slices,
    store_spectrum,
    store_training,
)

from qpatch.config import RunConfig
from qpatch.runs.problems import run_problems
from qpatch.runs.published import reference_table
from qpatch.runs.remedies import remedy
from qpatch.runs.stages import STAGES
from qpatch.runs.store import ResultError, RunFolder, results_folder
from qpatch.runs.stored import stored_runs, summary

TINY_OPTIONS = (
    "--stride 4 --depth 1 -p dataset=shapes -p n_qubits=4 -p n_classes=3 -p image_size=8 -p epochs=4 -p batch_size=20"
    " -p n_train=60 -p n_test=30"
)
LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]  # of the initial point and four epochs; the best is epoch 2
GRID = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.fixture
def run():
    """All stages of a run, done."""
    run = store_training(TINY, LOSSES)
    store_hessian(run, [3.0, 4.0])
    store_landscape(run, [-1.0, 0.0, 1.0], [0.0, 2.0], GRID)
    store_spectrum(run)
    store_slices(run)
    store_flatness(run)
    return run


def states(run: RunFolder) -> list[str]:
    return [run.state(stage) for stage in STAGES]


# -- reading ------------------------------------------------------------------------------------------------------


def test_results_are_read_as_they_were_written(run):
    assert run.history()["train_loss"].tolist() == LOSSES
    assert run.history()["epoch"].tolist() == [-1, 0, 1, 2, 3]
    assert run.iterations()["loss"].tolist() == [2.0] * TINY.epochs * TINY.n_batches
    assert run.table("eigenvalue.csv")["estimate"].tolist() == [3.0, 4.0]
    assert run.trajectory().shape == (5, TINY.n_angles)
    assert torch.equal(run.best_parameters()["angles"].flatten(), torch.from_numpy(run.trajectory()[3]))


def test_landscape_has_a_row_for_each_y_and_marks_the_best_epoch(run):
    landscape = run.landscape()
    assert landscape.x.tolist() == [-1, 0, 1]
    assert landscape.y.tolist() == [0, 2]
    assert np.array_equal(landscape.loss, GRID)
    assert landscape.ratios.tolist() == [0.75, 0.1875]
    assert landscape.best == 3
    assert landscape.trajectory[landscape.best].tolist() == [0, 0]  # as laid out for epoch 2
    assert landscape.trajectory[-1].tolist() == [2, -1]


def test_results_that_are_missing_name_the_file_and_the_remedy():
    run = RunFolder(TINY)
    for read in (run.history, run.iterations, run.best_parameters, run.trajectory, run.landscape):
        with pytest.raises(ResultError, match=r"is missing; run 'qpatch run --stride 4 --depth 1 "):
            read()


def test_a_published_run_without_its_path_says_so(run):
    run.file("trajectory.safetensors").unlink()
    with pytest.raises(ResultError, match=r"whole path is not published.*QPATCH_RESULTS=<folder>"):
        run.trajectory()


def test_environment_variable_points_at_the_results(monkeypatch, tmp_path):
    assert RunFolder(TINY).path == tmp_path / "results" / TINY.run_id
    monkeypatch.delenv("QPATCH_RESULTS")
    assert results_folder() == REPOSITORY / "data" / "results"


# -- done, missing, stale -----------------------------------------------------------------------------------------


def test_stages_are_done_or_missing(run):
    assert states(run) == ["done"] * len(STAGES)
    assert states(RunFolder(TINY.replace(seed=5))) == ["missing"] * len(STAGES)


@pytest.mark.parametrize("kept", [0, 1, 40, -3])
def test_a_half_written_record_is_missing(run, kept):
    record = run.path / "hessian.json"
    record.write_bytes(record.read_bytes()[:kept])
    assert states(run) == ["done", "missing", *["done"] * (len(STAGES) - 2)]


def test_a_record_of_bytes_that_are_no_text_is_missing(run):
    flip_byte(run.path / "hessian.json", 10)
    assert states(run) == ["done", "missing", *["done"] * (len(STAGES) - 2)]


@pytest.mark.parametrize("contents", ["[]", "3", "null", "{}"])
def test_a_record_of_something_else_is_not_done(run, contents):
    (run.path / "hessian.json").write_text(contents)
    assert run.state("hessian") in ("missing", "stale")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_without_one_of_its_files_is_stale(run, stage):
    (run.path / STAGES[stage].leaves[0]).unlink()
    assert run.state(stage) == "stale"


def test_the_trajectory_is_a_local_file_that_a_published_run_may_lack(run):
    (run.file("trajectory.safetensors")).unlink()
    assert states(run) == ["done"] * len(STAGES)
    assert run_problems(run) == []


def test_other_parameters_make_a_stage_stale(run):
    store_hessian(run, [4.0], STAGES["hessian"].recorded({}))
    assert run.state("hessian", {"tolerance": 1e-3}) == "done"
    assert run.state("hessian", {"tolerance": 1e-4}) == "stale"


@pytest.mark.parametrize(("key", "value"), [("schema", 0), ("config", {"stride": 6}), ("inputs", {})])
def test_another_schema_configuration_or_input_makes_a_stage_stale(run, key, value):
    record = run.record("hessian")
    (run.path / "hessian.json").write_text(json.dumps(record | {key: value}))
    assert states(run) == ["done", "stale", *["done"] * (len(STAGES) - 2)]


def test_training_again_makes_what_was_made_from_it_stale(run):
    store_training(TINY, LOSSES, shift=1.0)  # other parameters
    assert states(run) == ["done", *["stale"] * (len(STAGES) - 1)]
    store_hessian(run, [3.0])
    assert states(run) == ["done", "done", *["stale"] * (len(STAGES) - 2)]


def test_training_again_to_the_same_parameters_makes_nothing_stale(run):
    store_training(TINY, LOSSES)
    assert states(run) == ["done"] * len(STAGES)


def test_a_record_names_parameters_machine_code_and_digests(run):
    record = run.record("hessian")
    assert record["config"] == TINY.to_dict()
    assert record["machine"] == MACHINE
    assert record["code"]
    assert record["seconds"] == 1.0
    assert record["inputs"] == {"best.safetensors": run.record("train")["outputs"]["best.safetensors"]}
    assert set(record["outputs"]) == set(STAGES["hessian"].leaves)


# -- check --------------------------------------------------------------------------------------------------------


def test_sound_results_have_no_problems(run):
    assert run_problems(run) == []


@pytest.mark.parametrize("name", [name for stage in STAGES for name in STAGES[stage].leaves])
def test_an_altered_file_is_a_problem_and_the_remedy_helps(run, name):
    flip_byte(run.file(name))
    stage = next(stage for stage in STAGES if name in STAGES[stage].leaves)
    own = {"slices": " -p n_points=3", "flatness": " -p n_images=60"}.get(stage, "")
    assert run_problems(run) == [
        f"{TINY.run_id}: the {stage} stage is stale: {name} was altered after it was written;"
        f" run 'qpatch run {TINY_OPTIONS}{own} --stage {stage}'"
    ]


def test_a_relative_results_folder_is_meant_from_where_python_was_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QPATCH_RESULTS", "mine")
    script = "import os; from qpatch.runs.store import results_folder; os.chdir('/'); print(results_folder())"
    with start_python(script) as process:
        assert process.communicate()[0].strip() == str(tmp_path / "mine")


def test_a_replica_s_remedy_is_the_command_for_replicas(tmp_path):
    replica = RunFolder(TINY, tmp_path / "replicas" / "double")
    assert remedy(replica, "train") == f"run 'qpatch replicas {TINY_OPTIONS} --variant double'"
    assert remedy(RunFolder(RunConfig(), Path(".")), "train") == "run 'qpatch run --stride 6 --depth 50 --stage train'"


def test_a_damaged_file_of_parameters_names_itself_and_the_remedy(run):
    run.file("best.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ResultError, match=r"best\.safetensors cannot be read as .*; delete .*train\.json and run 'qp"):
        run.best_parameters()


@pytest.mark.parametrize("best", [99, None])
def test_a_summary_names_the_run_that_cannot_be_read(run, best):
    run.write_record("train", {}, 1.0, MACHINE, **({} if best is None else {"best_epoch": best}))
    with pytest.raises(ResultError, match=r"history\.csv cannot be read as results .* and run 'qpatch run"):
        summary([run])


@pytest.mark.parametrize("stage", STAGES)
def test_a_reopened_stage_is_missing_until_it_is_closed(run, stage):
    run.reopen(stage)
    assert run.state(stage) == "missing"
    run.reopen(stage)  # a second time is no error


def test_a_summary_has_no_numbers_of_stale_stages(run):
    assert summary([run])["lambda_max"].notna().all()
    store_training(TINY, LOSSES, shift=1.0)
    assert summary([run])[["lambda_max", "pc1_ratio", "pc2_ratio"]].isna().all(axis=None)


@pytest.mark.parametrize("stage", STAGES)
def test_a_half_written_record_is_a_problem(run, stage):
    record = run.path / f"{stage}.json"
    record.write_bytes(record.read_bytes()[:50])
    (problem,) = run_problems(run)
    assert f"the {stage} stage is missing: no record; run 'qpatch run" in problem


def test_a_stale_stage_is_a_problem(run):
    store_training(TINY, LOSSES, shift=1.0)
    problems = zip(list(STAGES)[1:], run_problems(run), strict=True)
    assert all(
        f"the {stage} stage is stale: another best.safetensors than the training left since" in problem
        for stage, problem in problems
    )


@pytest.mark.parametrize(
    ("losses", "best", "message"),
    [
        (LOSSES[:-1], None, "history.csv does not hold the epochs -1 to 3"),
        ([2.0, 1.0, 0.5, float("inf"), 0.75], None, "history.csv holds a value that is not finite"),
        ([2.0, 1.0, 0.5, float("nan"), 0.75], None, "history.csv holds a value that is not finite"),
        (LOSSES, 1, "best_epoch is not the epoch of least training loss"),
    ],
)
def test_a_history_that_makes_no_sense_is_a_problem(losses, best, message):
    run = store_training(TINY, losses)
    if best is not None:
        run.write_record("train", {}, 1.0, MACHINE, best_epoch=best)
    (problem,) = run_problems(run)
    assert problem.startswith(f"{TINY.run_id}: {message}; delete {run.path / 'train.json'} and run 'qpatch run")


def test_a_table_without_a_column_is_a_problem_and_no_crash(run):
    run.write_csv("eigenvalue.csv", pd.DataFrame({"other": [4.0]}))
    run.write_record("hessian", {}, 1.0, MACHINE, lambda_max=4.0, converged=False)
    (problem,) = run_problems(run)
    assert f"{run.file('eigenvalue.csv')} cannot be read as results (KeyError: 'estimate'); delete " in problem


def test_a_record_that_lacks_a_field_is_a_problem(run):
    record = run.record("hessian")
    del record["lambda_max"]
    (run.path / "hessian.json").write_text(json.dumps(record))
    (problem,) = run_problems(run)
    assert "is stale: hessian.json: record: 'lambda_max' is a required property; run 'qpatch" in problem


def test_values_that_are_not_finite_are_problems(run):
    store_hessian(run, [3.0, float("nan")])
    (problem,) = run_problems(run)
    assert problem.startswith(f"{TINY.run_id}: eigenvalue.csv holds a value that is not finite; delete ")
    store_hessian(run, [3.0])
    store_landscape(run, [-1.0, 0.0, 1.0], [0.0, 2.0], GRID * np.array([1, np.inf, 1]))
    (problem,) = run_problems(run)
    assert problem.startswith(f"{TINY.run_id}: landscape.csv holds a value that is not finite; delete ")


# -- all runs -----------------------------------------------------------------------------------------------------


def test_stored_runs_are_those_whose_training_is_done_in_a_fixed_order():
    configs = [TINY.replace(depth=2), TINY, TINY.replace(stride=2), TINY.replace(n_qubits=8, image_size=14, stride=6)]
    for config in configs:
        store_training(config, LOSSES)
    (results_folder() / "notes").mkdir()
    (results_folder() / "notes" / "train.json").write_text("{}")
    stopped = store_training(TINY.replace(seed=9), LOSSES)
    (stopped.path / "train.json").unlink()
    eight, tiny, deeper, more_patches = configs[3], configs[1], configs[0], configs[2]
    assert [run.config for run in stored_runs()] == [eight, tiny, deeper, more_patches]


def test_a_copied_folder_under_another_name_is_no_run(run):
    shutil.copytree(run.path, run.path.with_name("backup"))
    assert [found.run_id for found in stored_runs()] == [TINY.run_id]


def test_no_results_at_all():
    assert stored_runs() == []


def test_summary_has_a_row_a_run_with_gaps_where_stages_are_missing(run):
    bare = store_training(TINY.replace(depth=2), [3.0, 1.5, 1.75, 2.0, 2.0])
    table = summary([run, bare]).set_index("run_id")
    first, second = table.loc[TINY.run_id], table.loc[bare.run_id]
    assert (first["best_epoch"], first["train_loss"], first["test_loss"]) == (2, 0.25, 1.25)
    assert (first["lambda_max"], first["pc1_ratio"], first["pc2_ratio"]) == (4.0, 0.75, 0.1875)
    assert (second["best_epoch"], second["train_loss"]) == (0, 1.5)
    assert second[["lambda_max", "pc1_ratio", "pc2_ratio"]].isna().all()
    assert (first["n_patches"], first["n_parameters"]) == (4, 4 * 56)


def test_spans_and_the_highest_loss_are_in_the_units_of_parameters_and_loss():
    run = store_training(TINY, [2.0, 1.0, 0.5, 0.25, 0.75])
    store_landscape(run, [-1.0, 0.0, 1.5], [0.0, 2.0], np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    run.write_csv("trajectory.csv", pd.DataFrame({"epoch": [-1, 0, 1], "x": [-3.0, 1.0, 0.0], "y": [2.0, 2.5, 0.0]}))
    run.write_record("landscape", {}, 1.0, MACHINE, ratios=[0.75, 0.1875], best_epoch=2)
    assert summary([run])[["pc1_span", "pc2_span", "landscape_max_loss"]].iloc[0].tolist() == [4, 2.5, 6]


def test_reference_tables_are_the_authors():
    lengths = {name: len(reference_table(name)) for name in ("runs", "epochs", "first_epoch")}
    assert lengths == {"runs": 12, "epochs": 9 * 50, "first_epoch": 9 * 60}
    row = reference_table("runs").set_index(["n_patches", "depth"]).loc[(4, 50)]
    assert (row["best_epoch"], row["train_loss"], row["test_accuracy"]) == (36, 0.022878, 0.9798)


# -- one writer ---------------------------------------------------------------------------------------------------


def test_a_run_is_held_by_one_process_and_freed_when_that_is_killed():
    run = RunFolder(TINY)
    with held_by_another_process(TINY, "stage.lock") as process:
        with (
            pytest.raises(ResultError, match=f"{TINY.run_id} is being computed by another process; wait"),
            run.locked(),
        ):
            pass
        with RunFolder(TINY.replace(seed=3)).locked():  # another run is free
            pass
        process.kill()
        process.wait()
        with run.locked():
            run.write_csv("history.csv", pd.DataFrame({"epoch": [1]}))
    assert run.history()["epoch"].tolist() == [1]


def test_a_lock_is_freed_when_the_work_in_it_fails():
    run = RunFolder(TINY)
    with pytest.raises(KeyboardInterrupt), run.locked():
        raise KeyboardInterrupt
    with run.locked():
        assert run.path.is_dir()


def test_a_folder_that_cannot_be_made_names_it_and_the_remedy(results_folder):
    results_folder.write_text("a file in the place of the folder")
    message = (
        r"cannot write to .*results.*; make that possible, or set QPATCH_RESULTS to a folder that you can write to"
    )
    with pytest.raises(ResultError, match=message), RunFolder(TINY).locked():
        pass


def test_a_folder_that_cannot_be_written_names_it_and_the_remedy(monkeypatch):
    """Permissions do not stop the superuser, so the refusal is made up."""

    def refused(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refused)
    message = r"cannot write to .*stage\.lock \(Permission denied\); make that possible, or set QPATCH_RESULTS"
    with pytest.raises(ResultError, match=message), RunFolder(TINY).locked():
        pass


def test_reading_creates_nothing(results_folder):
    run = RunFolder(RunConfig())
    assert states(run) == ["missing"] * len(STAGES)
    assert run_problems(run) == []
    assert not results_folder.exists()
