"""What a picture can show is measured against laws that do not depend on it."""

import numpy as np
import pytest
from helpers import MACHINE, TINY, store_hessian, store_landscape, store_slices, store_training

from book.show.landscapes import random_walk_ratios
from qpatch.runs.stages import STAGES
from qpatch.study import measures

LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]
GRID = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.fixture
def run():
    run = store_training(TINY, LOSSES)
    store_landscape(run, [-1.0, 0.0, 1.5], [0.0, 2.0], GRID)
    return run


def test_half_width_is_where_the_bowl_has_risen_by_one_contour(run):
    assert np.isnan(measures.resolution(run)["half_width"])
    store_hessian(run, [16.0])
    found = measures.resolution(run)
    assert 0.5 * 16 * found["half_width"] ** 2 == pytest.approx(0.5)
    assert found["step"] == 2


def test_a_long_random_walk_has_the_ratios_of_a_random_walk():
    # 6 / (pi k)^2 in many dimensions and steps (Antognini and Sohl-Dickstein, 2018); at 200 steps within two per cent.
    ratios = random_walk_ratios(steps=200, size=20_000)
    assert len(ratios) == 200
    assert ratios.sum() == pytest.approx(1)
    assert ratios[:3] == pytest.approx(6 / (np.pi * np.arange(1, 4)) ** 2, rel=0.02)


def test_shares_of_curvature_are_those_of_the_slices_in_per_cent(run):
    assert measures.curvature_shares([run]).empty
    store_slices(run)
    record = run.record("slices")
    held = record["planes"]["principal"] | {"ratios": [0.5, 0.25], "of_trace": 0.02}
    values = {name: record[name] for name in STAGES["slices"].record}
    values["planes"] = {"principal": held, "random": held | {"of_trace": 0.01}}
    run.write_record("slices", {}, 1.0, MACHINE, **values)
    row = measures.curvature_shares([run]).iloc[0]
    assert row[["Path, principal", "Trace, principal", "Path, random", "Trace, random"]].tolist() == [75, 2, 75, 1]
