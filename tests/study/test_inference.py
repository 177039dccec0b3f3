"""Tests of differences, against formulas written out, textbook values and laws of chance."""

import numpy as np
import pytest
from scipy import stats

from qpatch.study.inference import (
    holm,
    judge,
    pairs_that_agree,
    partial_slope,
    rank_trend,
    welch_of_accuracies,
    welch_of_logs,
)


@pytest.fixture
def rng() -> np.random.Generator:
    """Of each test its own, so that a test draws the same numbers alone as among others."""
    return np.random.default_rng(7)


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


def accuracies(rng, spread_runs: float, spread_images: float, chance: float, n_runs: int = 4, n_images: int = 1000):
    """Two samples of runs that are equally good: hits depend on run, image, and on both together by chance."""
    easy = rng.normal(1.3, spread_images, size=(2, 1, n_images))
    good = rng.normal(0, spread_runs, size=(2, n_runs, 1))
    return easy + good + chance * rng.normal(size=(2, n_runs, n_images)) > 0


def test_accuracies_of_runs_that_are_alike_are_compared_image_by_image():
    """300 images that only the second gets right, 100 that only the first does: the paired test of differences."""
    first, second = np.ones((2, 10_000), bool), np.ones((2, 10_000), bool)
    first[:, :300], second[:, 300:400] = False, False
    test = welch_of_accuracies(first, second)
    paired = stats.ttest_rel(second[0].astype(float), first[0].astype(float))
    interval = paired.confidence_interval(0.95)
    assert test.effect == pytest.approx(0.02)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high))
    assert test.p == pytest.approx(paired.pvalue)
    assert (test.n, test.method) == ((2, 2), "Welch, same images")


def test_accuracies_without_anything_particular_to_images_are_compared_by_welch_s_test(rng):
    """Each image is as hard as any other, for a run of its own skill: the spread of the runs is all there is."""
    shares = np.array([[0.2, 0.4, 0.5, 0.8], [0.7, 0.6, 0.9, 0.8]])
    first, second = rng.random((2, 4, 200_000)) < shares[..., None]
    test = welch_of_accuracies(first, second)
    welch = stats.ttest_ind(second.mean(1), first.mean(1), equal_var=False)
    assert test.p == pytest.approx(welch.pvalue, rel=1e-2)  # the images' part, of order 1 / 200,000, is left


def test_accuracies_count_the_spread_of_seeds():
    """A difference of means that one seed alone makes is not taken for sure, however many images there are."""
    first, second = np.ones((4, 10_000), bool), np.ones((4, 10_000), bool)
    second[0, :400] = False
    assert welch_of_accuracies(first, second).p > 0.2
    second[1:, :400] = False
    assert welch_of_accuracies(first, second).p < 0.001


@pytest.mark.parametrize(
    ("runs", "images", "chance"), [(0.0, 1.0, 0.5), (0.05, 1.0, 0.5), (0.3, 1.0, 0.1), (0.0, 0.0, 1.0)]
)
def test_equally_good_samples_are_told_apart_as_often_as_the_level_says(rng, runs, images, chance):
    """One in twenty of 400 is 20, with a standard deviation of 4.4; the bounds are four of these off.

    Whether runs, images or the chance of both together make the spread: a test that counts any of them more than once
    would hardly ever err, one that forgets it far too often.
    """
    errors = sum(welch_of_accuracies(*accuracies(rng, runs, images, chance)).p < 0.05 for _ in range(400))
    assert 3 <= errors <= 37


def test_accuracies_of_equal_runs_show_nothing(rng):
    right = np.repeat(rng.random((1, 500)) < 0.9, 2, axis=0)
    test = welch_of_accuracies(right, right)
    assert (test.effect, test.p) == (0.0, 1.0)
    with pytest.raises(ValueError, match="500 and 499 images"):
        welch_of_accuracies(right, right[:, 1:])
    with pytest.raises(ValueError, match="1 and 2 runs; two or more"):
        welch_of_accuracies(right[:1], right)


def test_partial_slope_is_that_of_the_residuals(rng):
    """Frisch, Waugh and Lovell: regress target and predictor on the covariate, then one residual on the other."""
    covariate = rng.normal(size=30)
    predictor = 0.7 * covariate + rng.normal(size=30)
    target = 2 + 3 * covariate - 1.5 * predictor + rng.normal(size=30)

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
    with pytest.raises(ValueError, match="must be finite"):
        partial_slope(np.where(values == 2, np.nan, values), values, values**2)


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


def test_rank_trend_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="needs finite ones"):
        rank_trend(np.array([1.0, np.nan, 2.0]), np.arange(3.0))


def test_pairs_that_agree_counts_all_pairs():
    assert pairs_that_agree([1.0, 2.0], [1.5, 3.0], rises=True) == (3, 4)
    assert pairs_that_agree([1.0, 2.0], [1.5, 3.0], rises=False) == (1, 4)
    assert pairs_that_agree([1.0], [1.0], rises=True) == (0, 1)


def test_holm_steps_down():
    """By hand: 0.005 x 4, 0.01 x 3, 0.03 x 2, then 0.04, which may not be less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm([0.01, np.nan])


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
