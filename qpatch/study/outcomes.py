"""The outcome of a planned comparison: `book/replication/plan.md`."""

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
