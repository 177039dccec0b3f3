"""What a stage's record must say, stage by stage, as JSON Schema: names, types and ranges."""

from __future__ import annotations

from functools import cache

from jsonschema import Draft202012Validator

from qpatch.runs.store import INPUTS, OUTPUTS, SCHEMA

NUMBER, WHOLE, TEXT, TRUTH = ({"type": name} for name in ("number", "integer", "string", "boolean"))
POSITIVE, NOT_NEGATIVE = NUMBER | {"exclusiveMinimum": 0}, NUMBER | {"minimum": 0}
SHARE, COUNT = NUMBER | {"minimum": 0, "maximum": 1 + 1e-6}, WHOLE | {"minimum": 0}  # a share of all may be rounded up
# Gauss-Newton may explain a little more than all of an eigenvalue, where the remainder is negative along it.
PART = NUMBER | {"minimum": 0, "maximum": 1.1}
EPOCH = WHOLE | {"minimum": -1}
VERSION = TEXT | {"pattern": r"^\d+\.\d+\.\d+(\+\S{7,})?$"}  # of the package, and the commit if it is known
DIGEST = TEXT | {"pattern": r"^[0-9a-f]{64}$"}


def _record(properties: dict[str, dict], optional: tuple[str, ...] = ()) -> dict:
    """An object with these properties and no others."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _map(values: dict) -> dict:
    """An object of any names."""
    return {"type": "object", "additionalProperties": values, "minProperties": 1}


def _list(items: dict, length: int | None = None) -> dict:
    return {"type": "array", "items": items, "minItems": length or 1} | ({"maxItems": length} if length else {})


# Python and NumPy are named since the second version of the code; older records do without.
MACHINE = _record(
    {"device": TEXT, "name": TEXT, "threads": WHOLE | {"minimum": 1}, "torch": TEXT, "python": TEXT, "numpy": TEXT},
    optional=("python", "numpy"),
)
PLANE = _record(
    {"ratios": _list(SHARE, 2), "hessian": _list(_list(NUMBER, 2), 2), "of_trace": NUMBER}
    | {"of_trace_error": NOT_NEGATIVE, "of_most": SHARE}
)
VALUES = {
    "train": {"best_epoch": EPOCH},
    "hessian": {"lambda_max": NUMBER, "converged": TRUTH},
    "landscape": {"ratios": _list(SHARE, 2), "best_epoch": EPOCH},
    "spectrum": {
        **dict.fromkeys(("lambda_max", "lambda_min", "power_iteration", "trace", "gauss_newton_lambda_max"), NUMBER),
        **{"trace_error": NOT_NEGATIVE, "outliers": COUNT, "gauss_newton_share": PART, "within_blocks": NUMBER},
        **{"participation": _map(SHARE), "block_lambda_max": _map(NUMBER), "products": _map(COUNT)},
        **{"logit_overlap": SHARE, "logit_overlap_random": SHARE, "images_used": COUNT},
    },
    "slices": {
        "along": _list(_record({"epoch": EPOCH, "lambda_max": NUMBER, "gauss_newton_share": NUMBER})),
        "planes": _map(PLANE),
        "lines": _map(_record({"length": NOT_NEGATIVE, "barrier": NOT_NEGATIVE, "peak": SHARE})),
        "images_used": COUNT,
    },
}


@cache
def _validator(stage: str) -> Draft202012Validator:
    common = {"schema": {"const": SCHEMA}, "stage": {"const": stage}, "config": {"type": "object"}}
    common |= {"parameters": {"type": "object"}, "seconds": POSITIVE, "machine": MACHINE, "code": VERSION}
    common["inputs"] = _record(dict.fromkeys(INPUTS[stage], DIGEST))
    common["outputs"] = _record(dict.fromkeys(OUTPUTS[stage], DIGEST))
    return Draft202012Validator(_record(common | VALUES[stage]))


def record_problems(stage: str, record: dict) -> list[str]:
    """What a stage's record lacks, has too much, or states that cannot be; in words, each with its place."""
    errors = sorted(_validator(stage).iter_errors(record), key=lambda error: [str(part) for part in error.path])
    return [f"{stage}.json: {'/'.join(map(str, error.path)) or 'record'}: {error.message}" for error in errors]
