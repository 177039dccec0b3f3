"""Tests of a difference between two samples: pure functions of arrays, each named by its method.

Nothing here knows of runs. A comparison asks whether a quantity is larger in a second sample than in a first;
``effect`` is positive where it is, and ``p`` is two-sided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
RESAMPLES = 10_000


@dataclass(frozen=True)
class Test:
    """Outcome of a test.

    Attributes:
        method: its name, for tables.
        effect: the estimated difference, in the units of the test.
        low, high: its 95 per cent interval.
        p: two-sided.
        n: sizes of the samples, or of the sample.
    """

    __test__ = False  # nothing for pytest to collect

    method: str
    effect: float
    low: float
    high: float
    p: float
    n: tuple[int, ...]


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
    sizes = (len(first), len(second))
    return Test("Welch, ln", effect, float(interval.low), float(interval.high), float(result.pvalue), sizes)


def crossed_bootstrap(first: np.ndarray, second: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> Test:
    """Bootstrap of a difference of accuracies, over the images, which both share, and over the seeds.

    Plain resampling of n seeds has a variance (n - 1) / n of what it should be; the seeds' weights are stretched to
    make up for that (Rao and Wu, 1988).

    Args:
        first, second: whether a run got an image right, ``(runs, images)`` bool; the images are the same.
        seed: of the resampling.
        resamples: how many; ``p`` is never below one in so many.

    Raises:
        ValueError: another number of images in the two.
    """
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"{first.shape[1]} and {second.shape[1]} images; a paired bootstrap needs the same in both")
    rng, n_images = np.random.default_rng(seed), first.shape[1]
    # Images of the same pattern of hits and misses are alike: their counts are drawn, not they themselves.
    patterns, counts = np.unique(np.vstack([first, second]), axis=1, return_counts=True)
    drawn = rng.multinomial(n_images, counts / n_images, size=resamples) / n_images
    accuracies = drawn @ patterns.T.astype(float)  # (resamples, runs of both)
    split = len(first)
    means = [(_seed_weights(rng, values.shape) * values).sum(1) for values in np.hsplit(accuracies, [split])]
    differences = means[1] - means[0]
    low, high = np.quantile(differences, [LEVEL / 2, 1 - LEVEL / 2])
    tail = min((differences <= 0).mean(), (differences >= 0).mean())
    p = min(1.0, max(2 * tail, 1 / resamples))
    effect = float(second.mean() - first.mean())
    return Test("paired bootstrap", effect, float(low), float(high), float(p), (len(first), len(second)))


def _seed_weights(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Weights ``(resamples, n)`` of n seeds drawn with replacement; of one seed, 1."""
    resamples, n = shape
    if n == 1:
        return np.ones(shape)
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    return 1 / n + (drawn - 1 / n) * (n / (n - 1)) ** 0.5


def partial_slope(target: np.ndarray, covariate: np.ndarray, predictor: np.ndarray) -> Test:
    """Least squares of a target by a covariate and a predictor ``(n,)``: the predictor's slope at equal covariate.

    Raises:
        ValueError: fewer than five points, or predictor and covariate that do not vary apart from one another.
    """
    n = len(target)
    design = np.column_stack([np.ones(n), covariate, predictor]).astype(float)
    if n < 5 or np.linalg.matrix_rank(design) < 3:
        raise ValueError(f"{n} points; five or more are needed, and a predictor that varies apart from the covariate")
    solution, *_ = np.linalg.lstsq(design, np.asarray(target, float), rcond=None)
    residuals = target - design @ solution
    covariance = np.linalg.inv(design.T @ design) * (residuals @ residuals) / (n - 3)
    slope, error = float(solution[2]), float(np.sqrt(covariance[2, 2]))
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 3)) * error
    p = float(2 * stats.t.sf(abs(slope) / error, n - 3)) if error else 0.0
    return Test("regression, ln", slope, slope - half, slope + half, p, (n,))


def rank_trend(quantity: np.ndarray, along: np.ndarray) -> Test:
    """Kendall's rank correlation of a quantity with what it is said to follow; ``effect`` is tau, without interval.

    p is that of all permutations, or of `RESAMPLES` random ones where there are more (from eight points on): exact with
    ties as well, where the usual normal approximation is not.
    """

    def concordance(x: np.ndarray, axis: int = -1) -> np.ndarray:  # what tau is proportional to
        return (np.sign(x[..., :, None] - x[..., None, :]) * order).sum((-2, -1))

    along, quantity = np.asarray(along, float), np.asarray(quantity, float)
    order = np.sign(quantity[:, None] - quantity[None, :])
    result = stats.permutation_test(
        (along,), concordance, permutation_type="pairings", vectorized=True, n_resamples=RESAMPLES, rng=0
    )
    tau = stats.kendalltau(along, quantity).statistic
    return Test("Kendall's tau", float(tau), np.nan, np.nan, float(result.pvalue), (len(quantity),))


def pairs_that_agree(first: np.ndarray, second: np.ndarray, rises: bool) -> tuple[int, int]:
    """Of all pairs of a member of each sample, how many go the claimed way, and how many there are."""
    differences = np.subtract.outer(np.asarray(second, float), np.asarray(first, float))
    return int(((differences > 0) if rises else (differences < 0)).sum()), differences.size


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down method: all of them may be judged at one level."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, steps)
    return adjusted.tolist()


def judge(effect: float, p: float, rises: bool) -> str:
    """'holds', 'contradicted' or 'undecided', at the 5 per cent level of an adjusted p-value."""
    if not p < LEVEL:
        return "undecided"
    return "holds" if (effect > 0) == rises else "contradicted"
