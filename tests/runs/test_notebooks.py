"""The stage notebooks: their parameters by name and type, what is refused before anything starts."""

import ast

import jupytext
import papermill
import pytest
from helpers import TINY, store_hessian, store_training
from nbclient.exceptions import DeadKernelError

from qpatch.config import ConfigError, RunConfig
from qpatch.runs import notebooks
from qpatch.runs.execution import execute_run
from qpatch.runs.notebooks import SOURCES, execute_stage
from qpatch.runs.parameters import DEVICE, parse_parameters
from qpatch.runs.stages import STAGES
from qpatch.runs.store import ResultError, RunFolder


def test_defaults_are_the_protocols():
    assert STAGES["train"].values({}) == {"variant": "standard"}
    power = {"tolerance": 1e-3, "max_iterations": 100, "start_seed": 0, "subset": 0}
    assert STAGES["hessian"].values({}) == power
    assert STAGES["landscape"].values({}) == {"n_points": 20, "margin": 5.0}


@pytest.mark.parametrize("stage", STAGES)
def test_the_notebooks_own_configuration_is_the_default(stage, tmp_path):
    plain = tmp_path / f"{stage}.ipynb"
    jupytext.write(jupytext.read(SOURCES / f"{stage}.md"), plain)
    shown = {name: ast.literal_eval(entry["default"]) for name, entry in papermill.inspect_notebook(plain).items()}
    default = RunConfig()
    assert shown == {"stride": default.stride, "depth": default.depth, "seed": default.seed} | {
        "settings": {}, "device": DEVICE, "parameters": {}, "replace": False,
    }  # fmt: skip


def test_parameters_are_sorted_and_typed():
    fields, parameters = parse_parameters(
        ["n_qubits=4", "scale=1e1", "dataset=fashion", "learning_rate=0.5", "margin=3", "n_points=5", "device=cpu"]
    )
    assert fields == {"n_qubits": 4, "scale": 10.0, "dataset": "fashion", "learning_rate": 0.5}
    assert parameters == {"margin": 3.0, "n_points": 5, "device": "cpu"}
    assert [type(parameters[name]) for name in ("margin", "n_points")] == [float, int]
    assert parse_parameters(["allow_unseen=False"])[0] == {"allow_unseen": False}  # as messages write it
    assert parse_parameters(["allow_unseen=true"])[0] == {"allow_unseen": True}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("n_qubit=4", r"unknown parameter 'n_qubit'; did you mean 'n_qubits'\?"),
        ("tolerence=1e-4", r"unknown parameter 'tolerence'; did you mean 'tolerance'\?"),
        ("xyzzy=1", r"unknown parameter 'xyzzy'; the parameters are allow_unseen, batch_size, .*, weight_decay"),
        ("=1", r"unknown parameter ''; the parameters are"),
        ("n_qubits", r"parameter 'n_qubits' has no value; write it as name=value"),
        ("n_qubits=four", r"parameter n_qubits is 'four'; it must be a whole number"),
        ("epochs=2.5", r"parameter epochs is '2\.5'; it must be a whole number"),
        ("epochs=", r"parameter epochs is ''; it must be a whole number"),
        ("allow_unseen=maybe", r"parameter allow_unseen is 'maybe'; it must be true or false"),
        ("margin=wide", r"parameter margin is 'wide'; it must be a number"),
    ],
)
def test_bad_parameters_are_refused_with_what_would_be_right(assignment, message):
    with pytest.raises(ConfigError, match=message):
        parse_parameters([assignment])


def test_a_record_keeps_every_parameter_but_the_device():
    recorded = STAGES["hessian"].recorded({"tolerance": 1e-5, "device": "cuda", "n_points": 7})
    assert recorded == {"tolerance": 1e-5, "max_iterations": 100, "start_seed": 0}
    assert STAGES["hessian"].recorded({"subset": 0}) == STAGES["hessian"].recorded({})
    assert STAGES["hessian"].recorded({"subset": 6000})["subset"] == 6000


def test_the_standard_variant_goes_without_saying_and_no_other_is_taken_from_the_command_line():
    assert STAGES["train"].recorded({"device": "cpu"}) == {}
    assert STAGES["train"].recorded({"variant": "double"}) == {"variant": "double"}
    assert STAGES["hessian"].recorded({"variant": "double"}) == STAGES["hessian"].recorded({})
    with pytest.raises(ConfigError, match="unknown parameter 'variant'"):
        parse_parameters(["variant=double"])


def test_a_stage_is_stale_for_other_parameters_and_done_on_another_device():
    run = store_training(TINY, [2.0, 1.0, 1.0, 1.0, 1.0])
    store_hessian(run, [3.0], STAGES["hessian"].recorded({}))
    assert run.state("hessian", {}) == "done"
    assert run.state("hessian", {"device": "cuda"}) == "done"
    assert run.state("hessian", {"n_points": 7}) == "done"  # of another stage
    assert run.state("hessian", {"tolerance": 1e-4}) == "stale"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("tolerance=0", r"tolerance is 0\.0; it must be above 0"),
        ("k=0", r"k is 0; it must be at least 1"),
        ("probes=-1", r"probes is -1; it must be at least 1"),
        ("n_points=1", r"n_points is 1; it must be at least 2"),
        ("blocks=-1", r"blocks is -1; it must be at least 0"),
        ("residual=0", r"residual is 0\.0; it must be above 0"),
        ("start_seed=-1", r"start_seed is -1; it must be at least 0"),
        ("subset=-5", r"subset is -5; it must be at least 0"),
        ("margin=nan", r"margin is nan; it must be a finite number"),
    ],
)
def test_values_out_of_range_are_refused_before_anything_starts(assignment, message):
    with pytest.raises(ConfigError, match=message):
        parse_parameters([assignment])


def test_one_name_with_two_values_is_a_contradiction():
    with pytest.raises(ConfigError, match="seed is given twice, as 5 and as 6"):
        parse_parameters(["seed=5", "seed=6"])
    assert parse_parameters(["seed=5", "seed=5"])[0] == {"seed": 5}


def test_a_finished_stage_of_other_parameters_starts_no_kernel(monkeypatch):
    run = store_training(TINY, [2.0, 1.0, 1.0, 1.0, 1.0])
    store_hessian(run, [3.0], STAGES["hessian"].recorded({}))
    monkeypatch.setattr("qpatch.runs.execution.kernel", lambda run: pytest.fail("a kernel starts"))
    with pytest.raises(ResultError, match=r"stored with tolerance 0\.001, not 0\.5"):
        execute_run(run, {"tolerance": 0.5}, lambda *ended: None, tuple(STAGES))


def test_a_notebook_whose_process_died_is_an_error_with_a_remedy(monkeypatch):
    def dead(*args, **options):
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(papermill, "execute_notebook", dead)
    with pytest.raises(notebooks.NotebookError, match=r"the process of the train notebook died.* goes on where it was"):
        execute_stage(RunFolder(TINY), "train", {}, manager=None)
