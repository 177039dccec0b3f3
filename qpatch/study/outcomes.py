"""The outcome of a planned comparison, and what a plan can see: `book/replication/plan.md`."""

import numpy as np
from scipy import stats

from qpatch.study.inference import LEVEL, Test

# Differences below these are too small to matter: of logarithms, and of accuracies.
BOUNDS = {
    "lambda_max": float(np.log(1.25)),
    "train_loss": float(np.log(1.05)),
    "test_loss": float(np.log(1.05)),
    "test_accuracy": 0.001,
}


def p_of_size(test: Test, bound: float) -> float:
    """p of two one-sided t-tests that a difference is smaller than a bound, in size (Schuirmann, 1987).

    Raises:
        ValueError: a bound that is not positive.
    """
    if bound <= 0:
        raise ValueError(f"a bound of {bound}; what is too small to matter is below a positive one")
    if not test.error:
        return float(abs(test.effect) >= bound)
    return float(stats.t.sf((bound - abs(test.effect)) / test.error, test.freedom))


def outcome(test: Test, p_holm: float, rises: bool, bound: float) -> str:
    """'holds', 'does not hold', 'too small to matter' or 'undecided'.

    The first two where the adjusted p is below `LEVEL`, by the sign; a difference that is sure and yet surely below the
    bound is too small to matter all the same.
    """
    if p_of_size(test, bound) < LEVEL:
        return "too small to matter"
    if not p_holm < LEVEL:
        return "undecided"
    return "holds" if (test.effect > 0) == rises else "does not hold"


def power(n: int, spread: float, effect: float, level: float = LEVEL) -> float:
    """Probability that a t-test of two samples of ``n`` of one spread finds a difference at a two-sided level."""
    freedom, shift = 2 * n - 2, effect / (spread * (2 / n) ** 0.5)
    hurdle = stats.t.ppf(1 - level / 2, freedom)
    return float(stats.nct.sf(hurdle, freedom, shift) + stats.nct.cdf(-hurdle, freedom, shift))


def power_of_size(n: int, spread: float, bound: float) -> float:
    """Probability that two equal configurations, of one spread, are found to differ by less than a bound.

    That is, that the difference of means lies within ``bound - t s sqrt(2 / n)``, averaged over the law of s.
    """
    freedom, error = 2 * n - 2, spread * (2 / n) ** 0.5
    hurdle = stats.t.ppf(1 - LEVEL, freedom)

    def found(scale):
        return 2 * stats.norm.cdf(np.maximum(bound / error - hurdle * scale, 0)) - 1

    return float(stats.chi(freedom, scale=freedom**-0.5).expect(found))
