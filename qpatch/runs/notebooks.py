"""The parameterised notebooks: what they take, and their execution by Papermill into a run's folder."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import functools
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jupytext
import papermill
from nbclient.exceptions import DeadKernelError

from qpatch.config import ConfigError, RunConfig
from qpatch.files import PROJECT
from qpatch.runs.store import STAGES, ResultError, RunFolder
from qpatch.runs.variants import STANDARD

SOURCES = PROJECT / "book" / "notebooks"
CONFIG_PARAMETERS = ("stride", "depth", "seed", "settings")
ENSEMBLE_PARAMETERS = ("variant",)  # of `qpatch replicas` alone, which keeps replicas apart from the run itself


class NotebookError(RuntimeError):
    """A cell failed or its process died; the message names the executed notebook that shows it."""


def stage_defaults(stage: str) -> dict:
    """A stage notebook's own parameters and their defaults, beyond those that make the configuration."""
    return {name: value for name, value in _parameters(stage).items() if name not in CONFIG_PARAMETERS}


@functools.cache
def _parameters(stage: str) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        plain = _convert(stage, Path(folder))
        found = papermill.inspect_notebook(str(plain))
    return {name: ast.literal_eval(entry["default"]) for name, entry in found.items()}


def _convert(stage: str, folder: Path) -> Path:
    plain = folder / f"{stage}.ipynb"
    jupytext.write(jupytext.read(SOURCES / f"{stage}.md"), plain)
    return plain


def parse_parameters(assignments: Sequence[str]) -> tuple[dict, dict]:
    """Sort ``name=value`` texts into fields of `RunConfig` and parameters of the stage notebooks, with their types.

    Raises:
        ConfigError: an unknown name (the message suggests the nearest known one) or a value of another type.
    """
    known_fields = {field.name: type(getattr(RunConfig(), field.name)) for field in dataclasses.fields(RunConfig)}
    known_stage = {name: type(value) for stage in STAGES for name, value in stage_defaults(stage).items()}
    known_stage = {name: kind for name, kind in known_stage.items() if name not in ENSEMBLE_PARAMETERS}
    fields, parameters = {}, {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"parameter {assignment!r} has no value; write it as name=value")
        kind = known_fields.get(name) or known_stage.get(name)
        if kind is None:
            known = sorted({**known_fields, **known_stage})
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the parameters are {', '.join(known)}"
            raise ConfigError(f"unknown parameter {name!r}; {hint}")
        (fields if name in known_fields else parameters)[name] = _convert_value(name, text, kind)
    return fields, parameters


def _convert_value(name: str, text: str, kind: type):
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise ConfigError(f"parameter {name} is {text!r}; it must be {wanted}") from None


def recorded_parameters(stage: str, parameters: dict) -> dict:
    """What a stage's record holds for these overrides: every parameter that can change its result.

    The standard variant and all training images go without saying.
    """
    defaults = stage_defaults(stage)
    merged = defaults | {name: value for name, value in parameters.items() if name in defaults}
    unsaid = {"device": merged.get("device"), "variant": STANDARD, "subset": 0}
    return {name: value for name, value in merged.items() if name not in unsaid or value != unsaid[name]}


def stage_state(run: RunFolder, stage: str, parameters: dict) -> str:
    """`RunFolder.state` for these notebook parameters."""
    return run.state(stage, recorded_parameters(stage, parameters))


def execute_stage(run: RunFolder, stage: str, parameters: dict) -> Path:
    """Convert the stage's notebook with Jupytext, execute it with Papermill, return the executed notebook.

    Raises:
        NotebookError: a cell failed, or the process died.
        ResultError: the stage before it is not done.
    """
    if stage != "train" and run.state("train") != "done":
        raise ResultError(f"{run.run_id}: the {stage} stage needs a finished training; run the train stage first")
    folder = run.cache / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    fields = run.config.to_dict()
    settings = {name: value for name, value in fields.items() if name not in CONFIG_PARAMETERS}
    values = {name: fields[name] for name in CONFIG_PARAMETERS if name in fields} | {"settings": settings}
    values |= {name: value for name, value in parameters.items() if name in stage_defaults(stage)}
    executed = folder / f"{stage}.ipynb"
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        plain = _convert(stage, Path(scratch))
        try:
            papermill.execute_notebook(
                str(plain),
                str(executed),
                values,
                kernel_name="python3",
                cwd=str(PROJECT),
                progress_bar=False,
                extra_arguments=["--log-level=50"],  # the kernel's own warnings are not about the run
            )
        except papermill.PapermillExecutionError as error:
            raise NotebookError(
                f"{run.run_id}: cell {error.exec_count} of the {stage} notebook failed"
                f" ({error.ename}: {error.evalue}); see {executed}"
            ) from error
        except DeadKernelError as error:
            raise NotebookError(
                f"{run.run_id}: the process of the {stage} notebook died, perhaps for want of memory; the same command"
                f" goes on where it was; see {executed}"
            ) from error
    return executed
