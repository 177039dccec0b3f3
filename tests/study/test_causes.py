"""Curvature at equal loss by a law that is known, and shares of a fall by simulation."""

import numpy as np
import pandas as pd
import pytest
from helpers import TINY, store_flatness, store_training
from scipy import stats

from qpatch.study.causes import CURVATURES, flatness_table, read_share, share_left
from qpatch.study.inference import Test

LOSSES = [4.0, 0.5, 3.0, 0.8, 0.2]  # of the initial point and four epochs: 1.0 is crossed twice


def stored(law, losses=LOSSES, seed=1):
    """A run whose curvatures follow a law of the training loss."""
    run = store_training(TINY.replace(seed=seed), losses)
    rows = [{"epoch": row - 1} | {name: law(loss) for name in CURVATURES} for row, loss in enumerate(losses)]
    store_flatness(run, {"loss": 1.0})
    run.write_csv("flatness.csv", pd.DataFrame(rows))
    return run


def test_a_power_of_the_loss_is_interpolated_exactly():
    """In logarithms a power law is a straight line, so that interpolation makes no error."""
    table = flatness_table([stored(lambda loss: 7 * loss**1.5)]).set_index("point")
    for point, loss in (("best", 0.2), ("first", 1.0), ("last", 1.0)):
        assert table.loc[point, list(CURVATURES)].to_numpy(float) == pytest.approx(np.log(7 * loss**1.5))


def test_first_and_last_crossing_lie_between_their_own_epochs():
    values = dict(zip(LOSSES, [10.0, 20.0, 30.0, 50.0, 90.0], strict=True))
    table = flatness_table([stored(values.get)]).set_index("point")["hessian_max"]
    for point, (high, low) in (("first", (4.0, 0.5)), ("last", (3.0, 0.8))):
        way = np.log(high / 1.0) / np.log(high / low)
        assert table[point] == pytest.approx(np.log(values[high]) * (1 - way) + np.log(values[low]) * way)


def test_a_run_that_never_falls_so_far_has_its_best_epoch_alone():
    assert flatness_table([stored(lambda loss: loss, [4.0, 3.0, 2.5, 2.2, 2.1])])["point"].tolist() == ["best"]


def test_a_negative_trace_has_no_logarithm():
    assert flatness_table([stored(lambda loss: -loss)])["hessian_trace"].isna().all()


def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says():
    """Of 2,000 intervals at 95 per cent, 1,900 with a standard deviation of 10; four of these less are 1,860.

    The mean plain fall, by which all is divided, is uncertain too, by a fortieth of itself, which the rule leaves out.
    """
    rng, held = np.random.default_rng(3), 0
    for _ in range(2000):
        plain, control = 2 + 0.05 * rng.normal(size=3), 1 + 0.1 * rng.normal(size=3)
        test = share_left(plain, control)
        held += test.low <= 0.5 <= test.high
    assert held >= 1860


def test_a_share_is_that_of_the_means_and_its_interval_that_of_students_t():
    plain, control = np.array([2.0, 2.2, 2.1]), np.array([1.0, 1.3, 0.9])
    test = share_left(plain, control)
    assert test.effect == pytest.approx(control.mean() / plain.mean())
    interval = stats.ttest_1samp(control - plain, 0).confidence_interval(0.95)
    assert (test.low, test.high) == pytest.approx((1 + interval.low / 2.1, 1 + interval.high / 2.1))


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.8, 1.1, "all"),
        (-0.1, 0.3, "nothing"),
        (0.2, 0.9, "a part"),
        (-0.1, 1.1, "undecided"),
        (1.1, 1.3, "undecided"),
        (-0.4, -0.1, "undecided"),
    ],
)
def test_a_share_in_words(low, high, word):
    assert read_share(Test("share left", (low + high) / 2, low, high)) == word


@pytest.mark.parametrize("falls", [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([-1.0, -2.0], [1.0, 1.0])])
def test_falls_that_cannot_be_compared_are_refused(falls):
    with pytest.raises(ValueError, match="two or more of the same seeds"):
        share_left(*falls)
