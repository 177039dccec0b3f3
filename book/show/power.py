"""What a plan of analysis can see: how probable it is that so many seeds tell a difference."""

import numpy as np
from scipy import stats

from qpatch.study.inference import LEVEL


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
