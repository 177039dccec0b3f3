"""What to do about a stage whose record or files do not hold, in words that can be followed to the letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qpatch.config import ConfigError
from qpatch.runs.parameters import ENSEMBLE
from qpatch.runs.records import SCHEMA
from qpatch.runs.stages import STAGES
from qpatch.runs.variants import REPLICAS

if TYPE_CHECKING:
    from qpatch.runs.store import RunFolder


def remedy(run: RunFolder, stage: str) -> str:
    """What makes a stage anew that is missing or stale, with the parameters that its record names."""
    if newer(run, stage):
        return "update qpatch, or set QPATCH_RESULTS to another folder"
    options = run.config.command_options
    if run.path.parent.parent.name == REPLICAS:
        given = "".join(_given(run, each) for each in STAGES)
        return f"run 'qpatch replicas {options}{given} --variant {run.path.parent.name}'"
    return f"run 'qpatch run {options}{_given(run, stage)} --stage {stage}'"


def undo(run: RunFolder, stage: str) -> str:
    """What makes a stage anew that is finished and wrong all the same."""
    return f"delete {run.record_file(stage)} and {remedy(run, stage)}"


def newer(run: RunFolder, stage: str) -> bool:
    """Whether a newer version of the package wrote a stage's record."""
    schema = (run.record(stage) or {}).get("schema")
    return isinstance(schema, int) and schema > SCHEMA


def _given(run: RunFolder, stage: str) -> str:
    declared, stored = STAGES[stage].parameters, (run.record(stage) or {}).get("parameters")
    try:
        values = STAGES[stage].values(stored or {})
    except (ConfigError, TypeError):
        return ""
    changed = {name: value for name, value in values.items() if value != declared[name].default}
    return "".join(f" -p {name}={value}" for name, value in changed.items() if name not in ENSEMBLE)
