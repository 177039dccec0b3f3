"""Parameters by name and text, as a command line gives them: fields of the configuration, parameters of the stages."""

import dataclasses
import difflib
from collections.abc import Sequence

from qpatch.config import ConfigError, RunConfig
from qpatch.runs.stages import STAGES

KINDS = {"int": int, "float": float, "str": str, "bool": bool}
DEVICE = "auto"  # of every stage: a GPU where there is one; or "cpu", "cuda"
ENSEMBLE = ("variant",)  # of `qpatch replicas` alone, which keeps replicas apart from the run itself


def parse_parameters(assignments: Sequence[str]) -> tuple[dict, dict]:
    """Sort ``name=value`` texts into fields of `RunConfig` and parameters of the stages, with their types, in range.

    Raises:
        ConfigError: an unknown name (the message suggests the nearest known one), a name given twice with different
            values, or a value of another type or out of range.
    """
    fields = {field.name: KINDS[field.type.split(" | ")[0]] for field in dataclasses.fields(RunConfig)}
    declared = {name: each for stage in STAGES.values() for name, each in stage.parameters.items()}
    stages = {name: type(each.default) for name, each in declared.items() if name not in ENSEMBLE} | {"device": str}
    found: dict[str, str] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"parameter {assignment!r} has no value; write it as name=value")
        if name not in fields and name not in stages:
            known = sorted({**fields, **stages})
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"the parameters are {', '.join(known)}"
            raise ConfigError(f"unknown parameter {name!r}; {hint}")
        if found.setdefault(name, text) != text:
            raise ConfigError(f"parameter {name} is given twice, as {found[name]} and as {text}; give it once")
    parameters = {name: _convert(name, text, stages[name]) for name, text in found.items() if name not in fields}
    for stage in STAGES.values():
        stage.own_values(parameters)  # in range
    return {name: _convert(name, text, fields[name]) for name, text in found.items() if name in fields}, parameters


def _convert(name: str, text: str, kind: type):
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise ConfigError(f"parameter {name} is {text!r}; it must be {wanted}") from None
