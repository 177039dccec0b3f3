"""What is wrong with a run: records and files held against what they must be, each with its remedy."""

from __future__ import annotations

import lazy_loader

from qpatch.files import ResultError
from qpatch.runs.remedies import remedy, undo
from qpatch.runs.stage import Stage
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

np = lazy_loader.load("numpy")


def run_problems(run: RunFolder) -> list[str]:
    """What is wrong with one run: unreadable or stale records, missing fields, altered files, impossible values."""
    there = [stage for stage in STAGES if run.record_file(stage).exists()]
    if there and run.state("train") != "done":  # what the others are follows from it
        there = ["train"]
    found = [
        f"the {stage} stage is {run.state(stage)}: {run.reason(stage)}; {remedy(run, stage)}"
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
                found += [f"{problem}; {undo(run, stage.name)}" for problem in problems]
    return found


def _problems(stage: Stage, run: RunFolder) -> list[str]:
    tables = {name: run.table(name).select_dtypes("number") for name in stage.leaves if name.endswith(".csv")}
    odd = [name for name, values in tables.items() if not np.isfinite(values).all(axis=None)]
    return [f"{name} holds a value that is not finite" for name in odd] or list(stage.problems(run))
