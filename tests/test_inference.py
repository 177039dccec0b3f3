"""Tests of differences, against formulas written out, textbook values and laws of chance."""

import numpy as np
import pytest
from scipy import stats

from qpatch.inference import crossed_bootstrap, holm, judge, pairs_that_agree, partial_slope, rank_trend, welch_of_logs

RNG = np.random.default_rng(7)


def test_welch_is_the_formula_of_the_logarithms():
    first, second = np.array([1.0, 1.3, 0.9, 1.1]), np.array([2.0, 3.5, 2.4])
    test = welch_of_logs(first, second)
    a, b = np.log(first), np.log(second)
    errors = np.array([a.var(ddof=1) / 4, b.var(ddof=1) / 3])
    freedom = errors.sum() ** 2 / (errors**2 / [3, 2]).sum()
    difference, error = b.mean() - a.mean(), errors.sum() ** 0.5
    half = stats.t.ppf(0.975, freedom) * error
    assert test.effect == pytest.approx(difference)
    assert test.p == pytest.approx(2 * stats.t.sf(difference / error, freedom))
    assert (test.low, test.high) == pytest.approx((difference - half, difference + half))
    assert (test.n, test.method) == ((4, 3), "Welch, ln")


def test_welch_counts_factors_and_not_differences():
    """Twice as large is the same effect wherever it is."""
    first = np.array([1.0, 1.2, 1.1])
    small, large = welch_of_logs(first, 2 * first), welch_of_logs(1000 * first, 2000 * first)
    assert small.effect == pytest.approx(np.log(2)) == large.effect
    assert small.p == pytest.approx(large.p)


@pytest.mark.parametrize("sample", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, float("nan")]])
def test_welch_refuses_what_has_no_logarithm_or_spread(sample):
    with pytest.raises(ValueError, match="two or more positive values"):
        welch_of_logs(np.array(sample), np.array([1.0, 2.0]))


def test_bootstrap_of_single_runs_is_that_of_the_paired_differences():
    """One run each: 300 images that only the second gets right, 100 that only the first does, of 10,000."""
    first, second = np.ones((1, 10_000), bool), np.ones((1, 10_000), bool)
    first[0, :300], second[0, 300:400] = False, False
    test = crossed_bootstrap(first, second)
    # The mean of n differences in {-1, 0, 1} is nearly normal; its 2.5 per cent points lie 1.96 errors off.
    error = np.sqrt((0.03 + 0.01 - 0.02**2) / 10_000)
    assert test.effect == pytest.approx(0.02)
    assert test.low == pytest.approx(0.02 - 1.96 * error, abs=0.1 * error)  # 10,000 resamples: 2 per cent of an error
    assert test.high == pytest.approx(0.02 + 1.96 * error, abs=0.1 * error)
    assert test.p == 1e-4  # ten errors away: no resample gets there, so one in as many as there are


def test_bootstrap_pairs_the_images():
    """Both miss the same 5 per cent, and the second 20 images more: sure if paired, lost in the noise if not."""
    first = np.ones((1, 10_000), bool)
    first[0, :500] = False
    second = first.copy()
    second[0, 500:520] = False
    test = crossed_bootstrap(first, second)
    assert test.p < 0.001
    assert stats.norm.sf(0.002 / np.sqrt(2 * 0.05 * 0.95 / 10_000)) > 0.2


def test_bootstrap_counts_the_spread_of_seeds():
    """A difference of means that one seed alone makes is not taken for sure, however many images there are."""
    first, second = np.ones((4, 10_000), bool), np.ones((4, 10_000), bool)
    second[0, :400] = False
    assert crossed_bootstrap(first, second).p > 0.2
    second[1:, :400] = False
    assert crossed_bootstrap(first, second).p < 0.001


def test_bootstrap_of_few_seeds_is_as_wide_as_their_spread_says():
    """All 256 ways to draw four seeds again, stretched to the variance s^2 / 4; images add next to nothing."""
    shares = np.array([0.2, 0.4, 0.5, 0.8])
    second = np.arange(10_000) < 10_000 * shares[:, None]
    means = shares[np.indices((4,) * 4).reshape(4, -1)].mean(0)
    stretched = shares.mean() + (means - shares.mean()) * (4 / 3) ** 0.5
    assert stretched.var() == pytest.approx(shares.var(ddof=1) / 4)
    test = crossed_bootstrap(np.zeros((1, 10_000), bool), second)
    assert (test.low, test.high) == pytest.approx(np.quantile(stretched, [0.025, 0.975]), abs=0.02)
    assert np.quantile(means, 0.025) - test.low > 0.02  # what plain resampling would give is seen


def test_bootstrap_of_equal_runs_finds_nothing():
    right = RNG.random((3, 500)) < 0.9
    test = crossed_bootstrap(right[:1], right[:1])
    assert (test.effect, test.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="500 and 499 images"):
        crossed_bootstrap(right, right[:, 1:])


def test_partial_slope_is_that_of_the_residuals():
    """Frisch, Waugh and Lovell: regress target and predictor on the covariate, then one residual on the other."""
    covariate = RNG.normal(size=30)
    predictor = 0.7 * covariate + RNG.normal(size=30)
    target = 2 + 3 * covariate - 1.5 * predictor + RNG.normal(size=30)

    def residual(values):
        fit = stats.linregress(covariate, values)
        return values - fit.intercept - fit.slope * covariate

    expected = stats.linregress(residual(predictor), residual(target))
    error = expected.stderr * np.sqrt(28 / 27)  # one more parameter was estimated
    test = partial_slope(target, covariate, predictor)
    assert test.effect == pytest.approx(expected.slope)
    assert test.p == pytest.approx(2 * stats.t.sf(abs(expected.slope) / error, 27))
    assert test.high - test.effect == pytest.approx(stats.t.ppf(0.975, 27) * error)


def test_partial_slope_needs_a_predictor_of_its_own():
    values = np.arange(6.0)
    with pytest.raises(ValueError, match="varies apart"):
        partial_slope(values, values, 2 * values)
    with pytest.raises(ValueError, match="4 points; five or more"):
        partial_slope(values[:4], values[:4], values[:4] ** 2)


def test_rank_trend_is_kendalls():
    test = rank_trend(np.array([8, 6, 5, 2, 1]), np.array([1, 2, 3, 4, 5]))
    assert test.effect == pytest.approx(-1)
    assert test.p == pytest.approx(2 / 120)  # one order of 5! at either end


def test_rank_trend_is_exact_with_and_without_ties():
    """With one value that differs from four equal ones, its five places are equally likely, and either end counts."""
    assert rank_trend(np.array([2, 1, 1, 1, 1]), np.arange(5)).p == pytest.approx(2 / 5)
    untied = np.array([3, 1, 2, 5, 4, 7, 6])
    assert rank_trend(untied, np.arange(7)).p == pytest.approx(
        stats.kendalltau(np.arange(7), untied, method="exact").pvalue
    )


def test_pairs_that_agree_counts_all_pairs():
    assert pairs_that_agree([1.0, 2.0], [1.5, 3.0], rises=True) == (3, 4)
    assert pairs_that_agree([1.0, 2.0], [1.5, 3.0], rises=False) == (1, 4)
    assert pairs_that_agree([1.0], [1.0], rises=True) == (0, 1)


def test_holm_steps_down():
    """By hand: 0.005 x 4, 0.01 x 3, 0.03 x 2, then 0.04, which may not be less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("effect", "p", "rises", "expected"),
    [
        (1.0, 0.01, True, "holds"),
        (1.0, 0.01, False, "contradicted"),
        (-1.0, 0.01, False, "holds"),
        (1.0, 0.05, True, "undecided"),
        (1.0, float("nan"), True, "undecided"),
    ],
)
def test_judging(effect, p, rises, expected):
    assert judge(effect, p, rises) == expected
