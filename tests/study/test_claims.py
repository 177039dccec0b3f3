import pandas as pd
import pytest

from qpatch.config import RunConfig
from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder
from qpatch.study.claims import CLAIMS, claims_table, comparable_sets, verdict
from qpatch.study.kinds import Count


def test_neighbours_are_compared_at_fixed_patches():
    table = pd.DataFrame(
        {"n_patches": [4, 4, 4, 9, 9], "depth": [3, 1, 2, 1, 2], "lambda_max": [3.0, 1.0, 2.0, 2.0, 1.0]}
    )
    assert CLAIMS["sharper"].compare(table) == Count(2, 3)


def test_numbers_of_parameters_within_a_quarter_are_comparable():
    table = pd.DataFrame({"n_patches": [4, 9, 16], "n_parameters": [100, 125, 157], "lambda_max": [3.0, 2.0, 1.0]})
    assert CLAIMS["flatter-size"].compare(table) == Count(1, 1)


@pytest.mark.parametrize(("losses", "turns"), [([3, 2, 1], 0), ([3, 1, 2], 1), ([1, 2, 3], 0), ([1, 3, 2, 4], 1)])
def test_a_turn_is_a_fall_and_then_a_rise(losses, turns):
    depths = [50, 100, 150, 200][: len(losses)]
    table = pd.DataFrame({"n_patches": 4, "depth": depths, "test_loss": losses})
    assert CLAIMS["turning"].compare(table) == Count(turns, 1)


def test_missing_values_are_no_comparison():
    table = pd.DataFrame({"n_patches": [4, 4], "depth": [1, 2], "lambda_max": [1.0, None]})
    assert CLAIMS["sharper"].compare(table) == Count(0, 0)


def test_the_published_curvatures_support_the_published_claim():
    table = reference_table("runs")
    assert CLAIMS["sharper"].compare(table) == Count(9, 9)
    assert CLAIMS["flatter"].compare(table) == Count(8, 8)
    assert CLAIMS["planar"].compare(table) == Count(12, 12)
    assert CLAIMS["turning"].compare(table) == Count(1, 1)
    # comparable: depths 100-50, 200-100, 200-50, 100-50 of neighbouring strides or 6 and 2, then 150-100 and 200-100
    assert CLAIMS["flatter-size"].compare(table) == Count(6, 6)


def test_the_exceptions_among_the_published_numbers():
    """Read off Tables 1, 3 and 4 by eye."""
    table = reference_table("runs")
    found = {name: claim.exceptions(table) for name, claim in CLAIMS.items()}
    assert found.pop("deeper") == ["4 patches, depth 150 to 4 patches, depth 200: 0.0104 to 0.0113"]
    assert found.pop("general") == ["9 patches, depth 200 to 16 patches, depth 100: 0.0481 to 0.0492"]
    assert found.pop("flatter-loss") == ["9 patches, depth 100 to 16 patches, depth 200: 5.95 to 6.69"]
    assert not any(found.values())
    assert CLAIMS["planar"].exceptions(table.tail(1).assign(pc_ratio=0.9)) == ["16 patches, depth 200: 0.9"]


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (Count(0, 0), "not yet run at full size"),
        (Count(9, 9), "confirmed"),
        (Count(3, 3), "open: 3 of 3 so far, of 9 comparisons"),
        (Count(7, 9), "partly confirmed"),
        (Count(2, 9), "not confirmed"),
    ],
)
def test_verdicts(ours, expected):
    assert verdict(Count(9, 9), ours) == expected


def test_one_comparison_confirms_nothing():
    assert verdict(Count(1, 1), Count(1, 1)) == "one comparison, which agrees"
    assert verdict(Count(1, 1), Count(0, 1)) == "one comparison, which does not agree"


def test_runs_of_other_seeds_are_not_compared(tmp_path):
    configs = [RunConfig(stride=6), RunConfig(stride=3, depth=100), RunConfig(stride=3, seed=7)]
    sets = comparable_sets([RunFolder(config, tmp_path) for config in configs])
    assert sorted(map(len, sets)) == [1, 2]


def test_a_table_without_runs_says_so():
    table = claims_table([], pd.DataFrame())
    assert set(table["Verdict"]) == {"not yet run at full size; no test over seeds yet", "no test over seeds yet"}
    assert list(table["Ours, full size"]) == ["—"] * len(CLAIMS)
