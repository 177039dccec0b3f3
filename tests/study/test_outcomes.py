"""Outcomes of planned comparisons against other routes to the same numbers: statsmodels' and simulation."""

import numpy as np
import pytest
from scipy import stats

from book.show.power import power, power_of_size
from qpatch.study.inference import welch_of_logs
from qpatch.study.outcomes import outcome, p_of_size

BOUND = np.log(1.25)


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_two_one_sided_tests_are_those_of_scipy(rng):
    first, second = np.exp(rng.normal(0, 0.1, 8)), np.exp(rng.normal(0.05, 0.2, 12))
    a, b = np.log(first), np.log(second)
    above = stats.ttest_ind(b + BOUND, a, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(b - BOUND, a, equal_var=False, alternative="less").pvalue
    assert p_of_size(welch_of_logs(first, second), BOUND) == pytest.approx(max(above, below))


@pytest.mark.parametrize(
    ("ratio", "spread", "rises", "expected"),
    [
        (2.0, 0.05, True, "holds"),
        (2.0, 0.05, False, "does not hold"),
        (1.02, 0.001, True, "too small to matter"),  # beyond chance, and yet of no importance
        (1.0, 0.05, True, "too small to matter"),
        (1.1, 0.5, True, "undecided"),
    ],
)
def test_outcomes(ratio, spread, rises, expected):
    steps = np.exp(spread * np.linspace(-1, 1, 8))
    test = welch_of_logs(steps, ratio * steps)
    assert outcome(test, test.p, rises, BOUND) == expected


def test_an_adjusted_p_above_the_level_leaves_it_open():
    steps = np.exp(0.05 * np.linspace(-1, 1, 8))
    assert outcome(welch_of_logs(steps, 2 * steps), 0.06, True, BOUND) == "undecided"


def test_samples_without_spread_are_judged_by_their_difference():
    test = welch_of_logs(np.ones(3), np.ones(3) * 1.1)
    assert (p_of_size(test, BOUND), p_of_size(test, 0.05)) == (0.0, 1.0)


def test_power_is_the_share_of_simulated_experiments(rng):
    n, spread, effect, many = 8, 0.1, 0.15, 20_000
    first, second = (rng.normal(mean, spread, (many, n)) for mean in (0, effect))
    found = stats.ttest_ind(first, second, axis=1).pvalue < 0.05
    equal = rng.normal(0, spread, (many, n))
    difference = equal.mean(1) - first.mean(1)
    error = np.sqrt((equal.var(1, ddof=1) + first.var(1, ddof=1)) / n)
    same = np.abs(difference) + stats.t.ppf(0.95, 2 * n - 2) * error < effect
    # A share of 20,000 is uncertain by 0.0035 at most; four times that.
    assert power(n, spread, effect) == pytest.approx(found.mean(), abs=0.014)
    assert power_of_size(n, spread, effect) == pytest.approx(same.mean(), abs=0.014)


def test_a_bound_of_nothing_is_refused():
    with pytest.raises(ValueError, match="bound of 0"):
        p_of_size(welch_of_logs(np.array([1.0, 2.0]), np.array([1.0, 3.0])), 0)
