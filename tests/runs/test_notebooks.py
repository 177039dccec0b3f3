"""The stage notebooks: their parameters by name and type, what is refused before anything starts."""

import inspect

import pytest
from helpers import TINY, store_hessian, store_training
from nbclient.exceptions import DeadKernelError

from qpatch.config import ConfigError, RunConfig
from qpatch.runs import notebooks, slices, spectra, stages
from qpatch.runs.notebooks import execute_stage, parse_parameters, recorded_parameters, stage_defaults, stage_state
from qpatch.runs.store import STAGES, ResultError, RunFolder


def test_defaults_of_the_notebooks_are_the_protocols():
    assert stage_defaults("train") == {"device": "auto", "variant": "standard"}
    power = {"device": "auto", "tolerance": 1e-3, "max_iterations": 100, "start_seed": 0, "subset": 0}
    assert stage_defaults("hessian") == power
    assert stage_defaults("landscape") == {"device": "auto", "n_points": 20, "margin": 5.0}


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_of_the_notebooks_are_those_of_the_functions_they_call(stage):
    function = {"spectrum": spectra.spectrum, "slices": slices.slices}.get(stage) or getattr(stages, stage)
    signature = inspect.signature(function).parameters
    own = {name: entry.default for name, entry in signature.items() if name not in ("config", "data", "max_steps")}
    assert stage_defaults(stage) == own


@pytest.mark.parametrize("stage", STAGES)
def test_the_notebooks_own_configuration_is_the_default(stage):
    shown = notebooks._parameters(stage)
    default = RunConfig()
    assert (shown["stride"], shown["depth"], shown["seed"]) == (default.stride, default.depth, default.seed)
    assert shown["settings"] == {}


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
        ("xyzzy=1", r"unknown parameter 'xyzzy'; the parameters are batch_size, .*, weight_decay"),
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
    recorded = recorded_parameters("hessian", {"tolerance": 1e-5, "device": "cuda", "n_points": 7})
    assert recorded == {"tolerance": 1e-5, "max_iterations": 100, "start_seed": 0}
    assert recorded_parameters("hessian", {"subset": 0}) == recorded_parameters("hessian", {})
    assert recorded_parameters("hessian", {"subset": 6000})["subset"] == 6000


def test_the_standard_variant_goes_without_saying_and_no_other_is_taken_from_the_command_line():
    assert recorded_parameters("train", {"device": "cpu"}) == {}
    assert recorded_parameters("train", {"variant": "double"}) == {"variant": "double"}
    assert recorded_parameters("hessian", {"variant": "double"}) == recorded_parameters("hessian", {})
    with pytest.raises(ConfigError, match="unknown parameter 'variant'"):
        parse_parameters(["variant=double"])


def test_a_stage_is_stale_for_other_parameters_and_done_on_another_device():
    run = store_training(TINY, [2.0, 1.0, 1.0, 1.0, 1.0])
    store_hessian(run, [3.0], recorded_parameters("hessian", {}))
    assert stage_state(run, "hessian", {}) == "done"
    assert stage_state(run, "hessian", {"device": "cuda"}) == "done"
    assert stage_state(run, "hessian", {"n_points": 7}) == "done"  # of another stage
    assert stage_state(run, "hessian", {"tolerance": 1e-4}) == "stale"


@pytest.mark.parametrize("stage", STAGES[1:])
def test_later_stages_without_a_training_start_no_notebook(stage, results_folder):
    with pytest.raises(ResultError, match=f"the {stage} stage needs a finished training; run the train stage first"):
        execute_stage(RunFolder(TINY), stage, {})
    assert not results_folder.exists()


def test_a_notebook_whose_process_died_is_an_error_with_a_remedy(monkeypatch):
    def dead(*args, **options):
        raise DeadKernelError("Kernel died")

    monkeypatch.setattr(notebooks.papermill, "execute_notebook", dead)
    with pytest.raises(notebooks.NotebookError, match=r"the process of the train notebook died.* goes on where it was"):
        execute_stage(RunFolder(TINY), "train", {})
