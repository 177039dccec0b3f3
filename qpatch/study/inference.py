"""Tests of a difference between two samples: pure functions of arrays, each named by its method.

Nothing here knows of runs. A comparison asks whether a quantity is larger in a second sample than in a first;
``effect`` is positive where it is, and ``p`` is two-sided.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
RESAMPLES = 10_000
LOGS, ACCURACIES = "Welch, ln", "Welch, same images"  # methods whose effects are shown as factors, and as points


@dataclass(frozen=True)
class Test:
    """Outcome of a test."""

    __test__ = False  # nothing for pytest to collect

    method: str  # its name, for tables
    effect: float  # the estimated difference, in the units of the test
    low: float = np.nan  # of its 95 per cent interval, NaN where the method has none
    high: float = np.nan
    p: float = np.nan  # two-sided; NaN where nothing but a count is made
    n: tuple[int, ...] = ()  # sizes of the samples, or of the sample
    error: float = np.nan  # standard error of the effect, of a t-test
    freedom: float = np.nan  # its degrees of freedom


def _by_t(method: str, effect: float, error: float, freedom: float, n: tuple[int, ...]) -> Test:
    """The t-test of an effect with its standard error; one without error is sure."""
    half = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(effect) / error, freedom)) if error else float(effect == 0)
    return Test(method, effect, effect - half, effect + half, p, n, error, freedom)


def welch_of_logs(first: np.ndarray, second: np.ndarray) -> Test:
    """Welch's t-test of the logarithms: ``effect`` is the mean of ln second minus that of ln first.

    Raises:
        ValueError: a sample of fewer than two, or a value that is not positive.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    for sample in (first, second):
        if len(sample) < 2 or not (sample > 0).all():
            raise ValueError(f"a sample {sample}; Welch's test of logarithms needs two or more positive values")
    result = stats.ttest_ind(np.log(second), np.log(first), equal_var=False)
    interval = result.confidence_interval(1 - LEVEL)
    effect = float(np.log(second).mean() - np.log(first).mean())
    sizes, freedom = (len(first), len(second)), float(result.df)
    error = float(interval.high - interval.low) / 2 / float(stats.t.ppf(1 - LEVEL / 2, freedom))
    return Test(LOGS, effect, float(interval.low), float(interval.high), float(result.pvalue), sizes, error, freedom)


def welch_of_accuracies(first: np.ndarray, second: np.ndarray) -> Test:
    """Welch's t-test of two mean accuracies whose runs all answered the same images; ``effect`` is their difference.

    The seeds are drawn anew in each sample, the images are shared. The variance of the difference is that of the runs'
    accuracies, as in Welch's test, plus what the two samples' images have in common: the variance of the images'
    differences, less the part of it that is chance of single runs, which the runs' accuracies hold already
    (two-way analysis of variance; degrees of freedom by Satterthwaite).

    Args:
        first, second: whether a run got an image right, ``(runs, images)`` bool; the images are the same.

    Raises:
        ValueError: fewer than two runs in a sample, or another number of images in the two.
    """
    samples = [np.asarray(sample, float) for sample in (first, second)]
    (n_first, n_images), (n_second, others) = (sample.shape for sample in samples)
    if n_images != others:
        raise ValueError(f"{n_images} and {others} images; the runs of both samples must answer the same ones")
    if min(n_first, n_second) < 2:
        raise ValueError(f"{n_first} and {n_second} runs; two or more of each are needed")
    seeds = [sample.mean(1).var(ddof=1) / len(sample) for sample in samples]
    # Of one image, from run to run; the share of the runs' own differences in it is subtracted again with `seeds`.
    chance = [sample.var(0, ddof=1).mean() / len(sample) for sample in samples]
    differences = samples[1].mean(0) - samples[0].mean(0)
    images = max(0.0, differences.var(ddof=1) - sum(chance) + sum(seeds)) / n_images
    parts, freedoms = np.array([*seeds, images]), np.array([n_first - 1, n_second - 1, n_images - 1])
    effect, error = float(differences.mean()), float(np.sqrt(parts.sum()))
    freedom = parts.sum() ** 2 / (parts**2 / freedoms).sum() if error else np.inf
    return _by_t(ACCURACIES, effect, error, freedom, (n_first, n_second))


def partial_slope(target: np.ndarray, covariate: np.ndarray, predictor: np.ndarray) -> Test:
    """Least squares of a target by a covariate and a predictor ``(n,)``: the predictor's slope at equal covariate.

    Raises:
        ValueError: a value that is not finite, fewer than five points, or predictor and covariate that do not vary
            apart from one another.
    """
    n, target = len(target), np.asarray(target, float)
    design = np.column_stack([np.ones(n), covariate, predictor]).astype(float)
    if not (np.isfinite(design).all() and np.isfinite(target).all()):
        raise ValueError(f"target {target} by covariate {covariate} and predictor {predictor}; values must be finite")
    if n < 5 or np.linalg.matrix_rank(design) < 3:
        raise ValueError(f"{n} points; five or more are needed, and a predictor that varies apart from the covariate")
    solution, *_ = np.linalg.lstsq(design, target, rcond=None)
    residuals = target - design @ solution
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals) / (n - 3)
    slope, error = float(solution[2]), float(np.sqrt(covariance[2, 2]))
    return _by_t("regression, ln", slope, error, n - 3, (n,))


def rank_trend(quantity: np.ndarray, along: np.ndarray) -> Test:
    """Kendall's rank correlation of a quantity with what it is said to follow; ``effect`` is tau, without interval.

    p is that of all permutations, or of `RESAMPLES` random ones where there are more (from eight points on): exact with
    ties as well, where the usual normal approximation is not.

    Raises:
        ValueError: a value that is not finite.
    """

    def concordance(x: np.ndarray, axis: int = -1) -> np.ndarray:  # what tau is proportional to
        return (np.sign(x[..., :, None] - x[..., None, :]) * order).sum((-2, -1))

    along, quantity = np.asarray(along, float), np.asarray(quantity, float)
    if not np.isfinite([along, quantity]).all():
        raise ValueError(f"values {quantity} along {along}; a rank correlation needs finite ones")
    order = np.sign(quantity[:, None] - quantity[None, :])
    result = stats.permutation_test(
        (along,), concordance, permutation_type="pairings", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    tau = stats.kendalltau(along, quantity).statistic
    return Test("Kendall's tau", float(tau), p=float(result.pvalue), n=(len(quantity),))


def pairs_that_agree(first: np.ndarray, second: np.ndarray, rises: bool) -> tuple[int, int]:
    """Of all pairs of a member of each sample, how many go the claimed way, and how many there are."""
    differences = np.subtract.outer(np.asarray(second, float), np.asarray(first, float))
    return int(((differences > 0) if rises else (differences < 0)).sum()), differences.size


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down method: all of them may be judged at one level.

    Raises:
        ValueError: one of them is no probability.
    """
    p = np.asarray(p_values, float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values {p}; each must lie between 0 and 1")
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(1.0, steps)[np.argsort(order)].tolist()


def judge(effect: float, p: float, rises: bool) -> str:
    """'holds', 'contradicted' or 'undecided', at the 5 per cent level of an adjusted p-value."""
    if not p < LEVEL or np.isnan(effect):
        return "undecided"
    return "holds" if (effect > 0) == rises else "contradicted"
