"""A stage is one declaration: a sixth one, declared here and entered in one line, goes all the ways of the others."""

import jupytext
import pandas as pd
import pytest
from helpers import TINY, store_training

from qpatch.config import ConfigError
from qpatch.runs import compute_stage
from qpatch.runs.costs import Cost, stage_seconds
from qpatch.runs.execution import execute_run, pending_stages
from qpatch.runs.notebooks import SOURCES
from qpatch.runs.parameters import parse_parameters
from qpatch.runs.problems import run_problems
from qpatch.runs.records import record_problems
from qpatch.runs.stage import NUMBER, Outcome, Parameter, Stage
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

LOSSES = [2.0, 1.0, 1.5, 1.5, 1.5]


def compute(work, power: int) -> Outcome:
    """The norm of the best angles."""
    norm = work.run.best_parameters()["angles"].norm(power).item()
    return Outcome({"norm.csv": pd.DataFrame({"norm": [norm]})}, {"norm": norm})


def problems(run):
    if run.record("norm")["norm"] != run.table("norm.csv")["norm"][0]:
        yield "norm.csv says otherwise"


SIXTH = Stage(
    name="norm",
    compute=compute,
    leaves=("norm.csv",),
    needs=("best.safetensors",),
    parameters={"power": Parameter(2, "of the norm", least=1)},
    record={"norm": NUMBER},
    cost=lambda config, values, seconds: values["power"] * seconds("evaluation", 10),
    problems=problems,
)


@pytest.fixture
def run(monkeypatch, shapes) -> RunFolder:
    monkeypatch.setitem(STAGES, "norm", SIXTH)  # the one line
    return store_training(TINY, LOSSES)


def test_it_is_computed_stored_and_known(run):
    compute_stage("norm", TINY, "cpu", power=1)
    assert run.state("norm", {"power": 1}) == "done"
    assert run.reason("norm", {"power": 2}) == "power 1, not 2"
    expected = run.best_parameters()["angles"].abs().double().sum().item()
    assert run.record("norm")["norm"] == pytest.approx(expected, rel=1e-6)  # of some 100 numbers in single precision
    assert record_problems("norm", run.record("norm")) == []
    assert run_problems(run) == []
    store_training(TINY, LOSSES, shift=1.0)
    assert run.reason("norm") == "another best.safetensors than the training left since"


def test_its_files_are_checked_against_its_record(run):
    compute_stage("norm", TINY, "cpu")
    record = run.record("norm")
    run.write_csv("norm.csv", pd.DataFrame({"norm": [0.0]}))
    run.write_record("norm", record["parameters"], 1.0, record["machine"], norm=1.0)
    (problem,) = run_problems(run)
    assert problem.startswith(
        f"{TINY.run_id}: norm.csv says otherwise; delete {run.path / 'norm.json'} and run 'qpatch"
    )


def test_its_parameters_are_those_of_the_command_line(run):
    assert parse_parameters(["power=3"]) == ({}, {"power": 3})
    with pytest.raises(ConfigError, match="power is 0; it must be at least 1"):
        parse_parameters(["power=0"])
    with pytest.raises(ConfigError, match=r"the norm stage has no parameter 'powr'; did you mean 'power'\?"):
        compute_stage("norm", TINY, "cpu", powr=1)


def test_its_cost_is_estimated_and_it_waits_for_its_turn(run):
    assert pending_stages(run, {}, ["norm"]) == ["norm"]
    costs = {"evaluation": Cost(fixed=1.0, by_depth=0.0, by_image=0.0)}
    seconds = [stage_seconds(TINY, "norm", {"power": power}, costs) for power in (1, 3)]
    assert seconds[1] - seconds[0] == pytest.approx(2.0)


def test_its_notebook_is_executed_as_theirs(run, monkeypatch, tmp_path):
    """The kernel is another process, to which this test's stage is unknown: the notebook brings it."""
    notebook = jupytext.read(SOURCES / "hessian.md")
    notebook.cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    notebook.cells.append(
        jupytext.reads("```{code-cell}\nprint(stride, parameters, replace)\n```", fmt="md:myst").cells[0]
    )
    jupytext.write(notebook, tmp_path / "norm.md", fmt="md:myst")
    monkeypatch.setattr("qpatch.runs.notebooks.SOURCES", tmp_path)
    ended = []
    assert execute_run(run, {"power": 3}, lambda stage, seconds: ended.append(stage), ["norm"]) == ["norm"]
    assert ended == ["norm"]
    executed = jupytext.read(run.cache / "notebooks" / "norm.ipynb")
    assert executed.cells[-1].outputs[0].text == f"{TINY.stride} {{'power': 3}} False\n"
