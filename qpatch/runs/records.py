"""Records of stages: read, and held against their schema."""

import json
from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

from qpatch.runs.stage import POSITIVE, TEXT, WHOLE, record_of
from qpatch.runs.stages import STAGES

SCHEMA = 1  # of the records
VERSION = TEXT | {"pattern": r"^\d+\.\d+\.\d+(\+\S{7,})?$"}  # of the package, and the commit if it is known
DIGEST = TEXT | {"pattern": r"^[0-9a-f]{64}$"}
# Python and NumPy are named since the second version of the code; older records do without. Processes are named where
# several computed together.
MACHINE = record_of(
    {"device": TEXT, "name": TEXT, "threads": WHOLE | {"minimum": 1}, "torch": TEXT, "python": TEXT, "numpy": TEXT}
    | {"processes": WHOLE | {"minimum": 2}},
    optional=("python", "numpy", "processes"),
)


@cache
def _validator(stage: str) -> Draft202012Validator:
    common = {"schema": {"const": SCHEMA}, "stage": {"const": stage}, "config": {"type": "object"}}
    common |= {"parameters": {"type": "object"}, "seconds": POSITIVE, "machine": MACHINE, "code": VERSION}
    common["data"] = DIGEST  # of the images; older records do without
    common["inputs"] = record_of(dict.fromkeys(STAGES[stage].needs, DIGEST))
    common["outputs"] = record_of(dict.fromkeys(STAGES[stage].leaves, DIGEST))
    return Draft202012Validator(record_of(common | STAGES[stage].record, optional=("data",)))


def read_record(file: Path) -> dict | None:
    """A JSON object; None where there is none: no file, no text, no JSON, nested without end."""
    try:
        record = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def record_problems(stage: str, record: dict) -> list[str]:
    """What a stage's record lacks, has too much, or states that cannot be; in words, each with its place."""
    try:
        errors = sorted(_validator(stage).iter_errors(record), key=lambda error: [str(part) for part in error.path])
    except RecursionError:
        return [f"{stage}.json: nested too deep"]
    return [f"{stage}.json: {'/'.join(map(str, error.path)) or 'record'}: {error.message}" for error in errors]
