"""Records and files of a run held against what they must be: the schema of the records, headline numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import lazy_loader
from jsonschema import Draft202012Validator

from qpatch.files import ResultError
from qpatch.runs.stage import POSITIVE, TEXT, WHOLE, Stage, record_of
from qpatch.runs.stages import STAGES

if TYPE_CHECKING:
    from qpatch.runs.store import RunFolder

np = lazy_loader.load("numpy")

SCHEMA = 1  # of the records
VERSION = TEXT | {"pattern": r"^\d+\.\d+\.\d+(\+\S{7,})?$"}  # of the package, and the commit if it is known
DIGEST = TEXT | {"pattern": r"^[0-9a-f]{64}$"}
# Python and NumPy are named since the second version of the code; older records do without.
MACHINE = record_of(
    {"device": TEXT, "name": TEXT, "threads": WHOLE | {"minimum": 1}, "torch": TEXT, "python": TEXT, "numpy": TEXT},
    optional=("python", "numpy"),
)


@cache
def _validator(stage: str) -> Draft202012Validator:
    common = {"schema": {"const": SCHEMA}, "stage": {"const": stage}, "config": {"type": "object"}}
    common |= {"parameters": {"type": "object"}, "seconds": POSITIVE, "machine": MACHINE, "code": VERSION}
    common["data"] = DIGEST  # of the images; older records do without
    common["inputs"] = record_of(dict.fromkeys(STAGES[stage].needs, DIGEST))
    common["outputs"] = record_of(dict.fromkeys(STAGES[stage].leaves, DIGEST))
    return Draft202012Validator(record_of(common | STAGES[stage].record, optional=("data",)))


def record_problems(stage: str, record: dict) -> list[str]:
    """What a stage's record lacks, has too much, or states that cannot be; in words, each with its place."""
    try:
        errors = sorted(_validator(stage).iter_errors(record), key=lambda error: [str(part) for part in error.path])
    except RecursionError:
        return [f"{stage}.json: nested too deep"]
    return [f"{stage}.json: {'/'.join(map(str, error.path)) or 'record'}: {error.message}" for error in errors]


def run_problems(run: RunFolder) -> list[str]:
    """What is wrong with one run: unreadable or stale records, missing fields, altered files, impossible values."""
    there = [stage for stage in STAGES if run.record_file(stage).exists()]
    if there and run.state("train") != "done":  # what the others are follows from it
        there = ["train"]
    found = [
        f"the {stage} stage is {run.state(stage)}: {run.reason(stage)}; {run.remedy(stage)}"
        for stage in there
        if run.state(stage) != "done"
    ]
    return [f"{run.run_id}: {problem}" for problem in found or headline_problems(run)]


def headline_problems(run: RunFolder) -> list[str]:
    """What the files of a run's finished stages say otherwise than its records, or what cannot be, with the remedy."""
    found = []
    for stage in STAGES.values():
        if run.record(stage.name):
            try:
                with run.reading(*stage.leaves):  # a table without a column, or without numbers
                    problems = list(_problems(stage, run))
            except ResultError as error:
                found.append(str(error))
            else:
                found += [f"{problem}; {run.undo(stage.name)}" for problem in problems]
    return found


def _problems(stage: Stage, run: RunFolder) -> list[str]:
    tables = {name: run.table(name).select_dtypes("number") for name in stage.leaves if name.endswith(".csv")}
    odd = [name for name, values in tables.items() if not np.isfinite(values).all(axis=None)]
    return [f"{name} holds a value that is not finite" for name in odd] or list(stage.problems(run))
