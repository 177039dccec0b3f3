"""Jobs for an engine that hands them out: what is left of a sweep, in an order that leaves a run one writer."""

import json

import pytest
from helpers import TINY, store_hessian, store_training
from typer.testing import CliRunner

from qpatch.cli import app
from qpatch.config import RunConfig
from qpatch.files import PROJECT, ResultError
from qpatch.runs import jobs
from qpatch.runs.profiles import PROFILE_PARAMETERS, PROFILES, profile_runs, profile_stages
from qpatch.runs.provenance import code_digest
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

LOSSES = [2.0, 1.0, 1.0, 1.0, 1.0]
STAGES_HERE = ("train", "hessian", "landscape")


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    monkeypatch.setattr(jobs, "estimate", lambda pending, *rest: {(c.run_id, stage): 60.0 for c, stage in pending})


def listed(parameters=None, configs=(TINY,), stages=STAGES_HERE):
    return jobs.list_jobs({RunFolder(config): stages for config in configs}, parameters or {})


def test_a_stage_waits_for_the_one_before_and_no_run_for_another(results_folder):
    other = TINY.replace(seed=2)
    found = listed(configs=(TINY, other))
    assert found["results"] == str(results_folder)
    assert all(code_digest() in job["command"] for job in found["jobs"])
    order = [(job["run"], job["after"], job["stage"]) for job in found["jobs"]]
    assert order == [
        (config.run_id, before, stage)
        for config in (TINY, other)
        for before, stage in ((None, "train"), ("train", "hessian"), ("hessian", "landscape"))
    ]


def test_what_is_done_is_no_job_and_waited_for_by_none():
    run = store_training(TINY, LOSSES)
    assert [(job["after"], job["stage"]) for job in listed()["jobs"]] == [(None, "hessian"), ("hessian", "landscape")]
    store_hessian(run, [3.0], STAGES["hessian"].recorded({}))
    assert [(job["after"], job["stage"]) for job in listed()["jobs"]] == [(None, "landscape")]


def test_a_finished_stage_of_other_parameters_is_refused_before_anything_starts():
    store_hessian(store_training(TINY, LOSSES), [3.0], STAGES["hessian"].recorded({}))
    with pytest.raises(ResultError, match=r"the hessian stage of .* is stored with tolerance 0.001, not 0.1; --force"):
        listed({"tolerance": 0.1})


@pytest.mark.parametrize("profile", PROFILES)
def test_every_job_of_every_profile_is_a_command_that_names_its_run_and_stage(profile, monkeypatch):
    """Each is given to `qpatch run` as it is, up to where that would execute it."""
    executed = []
    monkeypatch.setattr(
        "qpatch.cli.execute_run", lambda run, given, tell, stages, force: executed.append((run, stages))
    )
    plan = {RunFolder(config): profile_stages(profile, config) for config in profile_runs(profile)}
    found = jobs.list_jobs(plan, PROFILE_PARAMETERS[profile])["jobs"]
    for job in found[:: max(1, len(found) // 6)]:
        assert job["command"][1:3] == ["-m", "qpatch"]
        result = CliRunner().invoke(app, job["command"][3:])
        assert result.exit_code == 0, result.output
        run, stages = executed.pop()
        assert (run.run_id, stages) == (job["run"], (job["stage"],))


def test_gpus_are_asked_for_where_the_runs_are_to_have_them():
    assert {job["gpus"] for job in listed({"device": "cuda"})["jobs"]} == {1}
    assert {job["gpus"] for job in listed()["jobs"]} == {0}


def test_memory_covers_what_the_largest_step_was_measured_to_take():
    measured = json.loads((PROJECT / "data" / "benchmarks" / "cpu.json").read_text())["parts"]["memory"]["cases"]
    largest = [case for case in measured if case["simulator"] == "qpatch" and case["n_patches"] == 16]
    assert jobs.mebibytes(RunConfig(stride=2)) > max(case["idle_mib"] + case["step_mib"] for case in largest)
    assert jobs.mebibytes(RunConfig(stride=6)) < jobs.mebibytes(RunConfig(stride=2)) < 4096  # of a small node


def test_the_command_line_lists_them_as_json_and_starts_nothing(results_folder):
    result = CliRunner().invoke(app, ["sweep", "--profile", "smoke", "--stride", "4", "--jobs"])
    assert result.exit_code == 0, result.output
    assert [job["stage"] for job in json.loads(result.stdout)["jobs"]] == list(profile_stages("smoke", TINY))
    assert list(results_folder.iterdir()) == []


def test_a_results_folder_that_cannot_be_made_is_refused(results_folder):
    results_folder.write_text("a file in the place of the folder")
    result = CliRunner().invoke(app, ["sweep", "--profile", "smoke", "--jobs"])
    assert result.exit_code == 1
    assert "set QPATCH_RESULTS to a folder that you can write to" in result.stderr


def test_a_process_of_another_version_of_the_code_computes_nothing(results_folder):
    result = CliRunner().invoke(app, ["run", "--worker", "0" * 64, *TINY.command_options.split()])
    assert result.exit_code == 1
    assert "is not the version that this sweep or workflow began with; give all nodes the same one" in result.stderr
    assert not results_folder.exists()
