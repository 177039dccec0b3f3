"""Checking a whole results folder; what is found in a single run is tested with `RunFolder` in test_results."""

import json

from qpatch.config import RunConfig
from qpatch.study.validation import check_results


def write_record(root, name, text, stage="train"):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / f"{stage}.json").write_text(text)


def test_an_empty_or_missing_folder_has_nothing_to_check(results_folder):
    assert check_results() == (0, [])


def test_a_half_written_record_is_a_problem(results_folder):
    write_record(results_folder, "mnist-s6-d050-seed1001", '{"schema": 1, "conf')
    count, (problem,) = check_results()
    assert count == 1
    assert problem.startswith("mnist-s6-d050-seed1001: none of its records is of a run of this name; move ")


def test_a_record_in_another_runs_folder_is_a_problem(results_folder):
    record = {"config": RunConfig(stride=3).to_dict()}
    write_record(results_folder, "mnist-s6-d050-seed1001", json.dumps(record))
    (problem,) = check_results()[1]
    assert problem.startswith("mnist-s6-d050-seed1001: none of its records is of a run of this name; move ")


def test_folders_without_a_record_are_left_alone(results_folder):
    (results_folder / "mnist-s6-d050-seed1001").mkdir(parents=True)  # a run in progress
    assert check_results() == (0, [])
