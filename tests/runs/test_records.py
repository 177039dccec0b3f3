"""Records against the schema: sound ones pass, and each field that is missing or impossible is named."""

import numpy as np
import pytest
from helpers import (
    MACHINE,
    TINY,
    store_flatness,
    store_hessian,
    store_landscape,
    store_slices,
    store_spectrum,
    store_training,
)

from qpatch.runs.records import record_problems
from qpatch.runs.stages import STAGES

LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]
GRID = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.fixture
def records() -> dict[str, dict]:
    run = store_training(TINY, LOSSES)
    store_hessian(run, [3.0, 4.0, 4.001])
    store_landscape(run, [-1.0, 0.0, 1.0], [0.0, 2.0], GRID)
    store_spectrum(run)
    store_slices(run)
    store_flatness(run)
    return {stage: run.record(stage) for stage in STAGES}


@pytest.mark.parametrize("stage", STAGES)
def test_records_of_every_stage_pass_and_each_of_their_fields_is_needed(records, stage):
    record = records[stage]
    assert record_problems(stage, record) == []
    for name in record:
        lacking = {key: value for key, value in record.items() if key != name}
        assert record_problems(stage, lacking) == [f"{stage}.json: record: {name!r} is a required property"]


@pytest.mark.parametrize(
    ("stage", "changed", "place"),
    [
        ("train", {"code": ""}, "code"),
        ("train", {"machine": {}}, "machine"),
        ("train", {"machine": MACHINE | {"threads": 0}}, "machine/threads"),
        ("train", {"seconds": -5.0}, "seconds"),
        ("train", {"stage": "hessian"}, "stage"),
        ("train", {"invented": 1}, "record"),
        ("train", {"best_epoch": 1.5}, "best_epoch"),
        ("train", {"outputs": []}, "outputs"),
        ("train", {"outputs": {"history.csv": "0" * 64}}, "outputs"),
        ("hessian", {"lambda_max": "4"}, "lambda_max"),
        ("hessian", {"inputs": {"best.safetensors": "abc"}}, "inputs/best.safetensors"),
        ("landscape", {"ratios": [0.9]}, "ratios"),
        ("landscape", {"ratios": [1.9, 0.1]}, "ratios/0"),
        ("spectrum", {"gauss_newton_share": 5.0}, "gauss_newton_share"),
        ("spectrum", {"outliers": -1}, "outliers"),
        ("spectrum", {"participation": {"QNN 1": 2.0}}, "participation/QNN 1"),
        ("slices", {"lines": {"a": {"length": 1.0, "barrier": -1.0, "peak": 0.5}}}, "lines/a/barrier"),
    ],
)
def test_what_cannot_be_is_named_with_its_place(records, stage, changed, place):
    problems = record_problems(stage, records[stage] | changed)
    assert problems
    assert all(problem.startswith(f"{stage}.json: {place}: ") for problem in problems)


@pytest.mark.parametrize("code", ["0.1.0", "0.1.0+3e16f1f", "0.1.0+3e16f1f-dirty", "1.2.3+v1.2-4-g3e16f1f"])
def test_versions_with_and_without_a_commit_pass(records, code):
    assert record_problems("train", records["train"] | {"code": code}) == []
