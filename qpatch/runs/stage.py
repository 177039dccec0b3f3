"""What a stage of a run is: one declaration, which stands beside the function that computes it.

Declarations are read by everything that asks about stages (the command line, `status`, estimates, checks), so their
modules load neither PyTorch nor pandas: a function that computes reaches for these through the rooms' lazy names.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qpatch.config import ConfigError, RunConfig
from qpatch.data import subset_problem

if TYPE_CHECKING:
    from qpatch.runs.store import RunFolder

# JSON Schema of a value in a record.
NUMBER, WHOLE, TEXT, TRUTH = ({"type": name} for name in ("number", "integer", "string", "boolean"))
POSITIVE, NOT_NEGATIVE = NUMBER | {"exclusiveMinimum": 0}, NUMBER | {"minimum": 0}
SHARE, COUNT = NUMBER | {"minimum": 0, "maximum": 1 + 1e-6}, WHOLE | {"minimum": 0}  # a share of all may be rounded up
EPOCH = WHOLE | {"minimum": -1}
CLOSE = 1e-5  # relative: what float32 and printed digits leave of a number that was computed in another order


def record_of(properties: dict[str, dict], optional: Sequence[str] = ()) -> dict:
    """JSON Schema of an object with these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def map_of(values: dict) -> dict:
    """JSON Schema of an object of any names, one or more."""
    return {"type": "object", "additionalProperties": values, "minProperties": 1}


def list_of(items: dict, length: int | None = None) -> dict:
    """JSON Schema of an array of so many items, or of one or more."""
    return {"type": "array", "items": items, "minItems": length or 1} | ({"maxItems": length} if length else {})


@dataclass(frozen=True)
class Parameter:
    """A parameter of a stage: its only home."""

    default: int | float | str  # also tells the type
    text: str  # what it is
    least: float | None = None  # the smallest value
    above: float | None = None  # what every value must exceed
    choices: tuple[str, ...] = ()  # the values there are; empty where any will do
    said: bool = True  # whether a record names it where it has its default

    def checked(self, name: str, value: object) -> int | float | str:
        """The value in the parameter's type.

        Raises:
            ConfigError: it is of another type or out of range.
        """
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind or (kind is float and not abs(value) < float("inf")):
            wanted = {int: "a whole number", float: "a finite number", str: "a name"}[kind]
            raise ConfigError(f"{name} is {value!r}; it must be {wanted}")
        if kind is int and value >= 2**32:
            raise ConfigError(f"{name} is {value}; it must be below 2^32 (default {self.default})")
        if self.least is not None and value < self.least:
            raise ConfigError(f"{name} is {value}; it must be at least {self.least:g} (default {self.default})")
        if self.above is not None and value <= self.above:
            raise ConfigError(f"{name} is {value}; it must be above {self.above:g} (default {self.default})")
        if self.choices and value not in self.choices:
            raise ConfigError(f"{name} is {value!r}; it must be one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True)
class Outcome:
    """What a stage has found."""

    files: dict[str, Any]  # by name, each a pandas DataFrame (a .csv) or tensors by name (a .safetensors)
    values: dict[str, Any]  # of the record, beside those that all records have
    seconds: float | None = None  # that it took, where the clock of the frame does not tell
    machine: dict | None = None  # that computed it, where it is not what the frame sees


@dataclass(frozen=True)
class Stage:
    """A stage of a run.

    ``compute`` takes a `compute.Work` and the parameters to an `Outcome`, or to None where it stopped before its end.
    ``cost`` is about the seconds that it takes, from a configuration, the parameters and ``seconds(what, n_images)`` of
    one 'step', 'evaluation' or Hessian-vector 'product' on so many images. ``problems`` says in words what a run's
    files, of finite numbers, hold otherwise than its record, or what cannot be.
    """

    name: str  # of the stage, its record and its notebook
    compute: Callable[..., Outcome | None]
    leaves: tuple[str, ...]  # the files that it writes
    parameters: dict[str, Parameter]
    record: dict[str, dict]  # JSON Schema of the values in its record
    cost: Callable[[RunConfig, dict, Callable[[str, int], float]], float]
    problems: Callable[[RunFolder], Iterable[str]]
    needs: tuple[str, ...] = ()  # the files of the training that it reads
    instead_of_path: tuple[str, ...] = ()  # of its own files, those that serve where a published run lacks its path
    draws_plane: bool = False  # whether it needs a path that spans one

    def values(self, given: dict) -> dict:
        """All parameters: the given ones, checked, and the defaults of the others.

        Raises:
            ConfigError: an unknown name, or a value of another type or out of range.
        """
        for name in given:
            if name not in self.parameters:
                near = difflib.get_close_matches(name, self.parameters, 1)
                known = ", ".join(self.parameters) or "none"
                hint = f"did you mean {near[0]!r}?" if near else f"its parameters are {known}"
                raise ConfigError(f"the {self.name} stage has no parameter {name!r}; {hint}")
        return {name: each.checked(name, given.get(name, each.default)) for name, each in self.parameters.items()}

    def own_values(self, given: dict) -> dict:
        """`values` of those of a run's parameters that are this stage's."""
        return self.values({name: value for name, value in given.items() if name in self.parameters})

    def check(self, config: RunConfig, given: dict) -> None:
        """Refuse, by ConfigError, what `own_values` does, subsets without all classes, a path that spans no plane."""
        values = self.own_values(given)
        for name in values.keys() & {"n_images", "subset"}:
            if problem := subset_problem(values[name], config.n_train, config.n_classes):
                raise ConfigError(f"{name} of the {self.name} stage: {problem}")
        moving = sum(epoch % (2 * config.cosine_period) != config.cosine_period for epoch in range(config.epochs))
        if self.draws_plane and moving < 2:
            raise ConfigError(
                f"epochs is {config.epochs}, {moving} of a learning rate above 0: the {self.name} stage draws a plane"
                f" through the path, which needs two; use more epochs, or leave this stage out by --stage"
            )

    def recorded(self, given: dict) -> dict:
        """What a record holds for these parameters, others of the run among them: what can change the result."""
        values, declared = self.own_values(given), self.parameters
        return {key: value for key, value in values.items() if declared[key].said or value != declared[key].default}


def images_used(config: RunConfig, n_images: int) -> int:
    """Images of a subset of so many training images, where 0 takes all."""
    return min(n_images or config.n_train, config.n_train)
