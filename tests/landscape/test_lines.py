"""Losses along straight lines of which the barrier is known in closed form."""

import numpy as np
import pytest

from book.checks.landscapes import nearest_copy
from qpatch.landscape.lines import Line, Profile, evaluate_line, line_positions

# A double well along the first coordinate: minima at -1 and 1, a ridge of height 1 at 0.
START, END = np.array([-1.0, 2.0, 0.0]), np.array([1.0, 2.0, 0.0])
LINE = Line(START, END, "wells")


def double_well(tilt: float = 0.0):
    return lambda point: (point[0] ** 2 - 1) ** 2 + tilt * point[0] + (point[1] - 2) ** 2


@pytest.mark.parametrize("tilt", [0.0, 0.7])
def test_barrier_of_a_double_well(tilt):
    """A linear term is the interpolation's own, so it does not change the barrier; 1 to rounding."""
    profile = evaluate_line(double_well(tilt), LINE, line_positions(11))
    assert profile.barrier == pytest.approx(1, abs=1e-14)
    assert profile.peak == pytest.approx(0.5)
    assert profile.barrier_error == pytest.approx(0, abs=1e-14)  # the points are symmetric about the ridge
    assert (profile.length, profile.name) == (2, "wells")
    assert np.allclose(profile.interpolation, tilt * (2 * profile.t - 1), atol=1e-15)


def test_the_parabola_tells_what_the_points_miss():
    """Ten points have none on the ridge: the nearest are h/2 = 1/18 in t away from it, at x = 1/9."""
    profile = evaluate_line(double_well(), LINE, line_positions(10))
    missed = 1 - profile.barrier
    assert missed == pytest.approx(1 - (1 - 1 / 81) ** 2, abs=1e-14)
    # the parabola misses the quartic's fourth derivative, h^4 (24 * 2^4) / 24 of order 0.0024 in t
    assert profile.barrier_error == pytest.approx(missed, abs=0.0024)


def test_a_convex_loss_has_no_barrier():
    profile = evaluate_line(lambda point: float(point @ point), LINE, line_positions(9, margin=0.25))
    assert profile.barrier == 0
    assert profile.barrier_error == 0
    assert profile.peak in (0, 1)


def test_what_lies_beyond_the_ends_is_no_barrier():
    profile = evaluate_line(double_well(), LINE, line_positions(5, margin=1.0))
    assert profile.loss[0] == 64  # x = -3
    assert profile.barrier == pytest.approx(1, abs=1e-14)


def test_the_ends_are_exact():
    start, end = np.random.default_rng(0).normal(size=(2, 50)).astype(np.float32)
    line = Line(start, end)
    assert np.array_equal(line.point(0.0), start)
    assert np.array_equal(line.point(1.0), end)


@pytest.mark.parametrize(("n_points", "margin"), [(3, 0.0), (7, 0.5), (25, 0.1), (26, 0.2)])
def test_positions_hold_the_ends_at_equal_steps(n_points, margin):
    t = line_positions(n_points, margin)
    assert {0.0, 1.0} <= set(t)
    assert np.sum((t >= 0) & (t <= 1)) == n_points
    assert np.allclose(np.diff(t), 1 / (n_points - 1), atol=1e-15)
    assert -margin - 1e-12 <= t[0] < -margin + 1 / (n_points - 1)
    assert t[-1] == pytest.approx(1 - t[0])


def test_the_nearest_copy_moves_by_whole_periods_only():
    to = np.array([0.1, 3.0, -3.0, 100.0])
    point = np.array([6.0, -3.0, 10.0, 0.0])
    near = nearest_copy(point, to, np.array([2 * np.pi, 2 * np.pi, 2 * np.pi, np.inf]))
    assert np.allclose(near, [6 - 2 * np.pi, 2 * np.pi - 3, 10 - 4 * np.pi, 0], atol=1e-14)
    assert (np.abs(near - to)[:3] <= np.pi).all()
    assert np.linalg.norm(near - to) < np.linalg.norm(point - to)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Line(START, START, "still"), ValueError, "both ends of the line 'still' are the same point"),
        (lambda: Line(START, END[:2]), ValueError, r"points of shapes \(3,\) and \(2,\)"),
        (lambda: Line(START, np.nan * END), ValueError, "an end of the line 'line' is not finite"),
        (lambda: line_positions(2), ValueError, "2 points with margin 0.0; take three or more"),
        (lambda: line_positions(5, -0.1), ValueError, "5 points with margin -0.1"),
        (
            lambda: evaluate_line(double_well(), LINE, np.linspace(0.1, 1, 4)),
            ValueError,
            "must ascend and hold 0 and 1, the ends; take `line_positions`",
        ),
        (lambda: evaluate_line(double_well(), LINE, np.array([1.0, 0.5, 0.0])), ValueError, "must ascend"),
        (
            lambda: evaluate_line(lambda point: np.nan if point[0] > 0 else 0.0, LINE, line_positions(5)),
            FloatingPointError,
            "the loss is nan at t = 0.75 of the line 'wells'",
        ),
    ],
)
def test_what_is_no_line_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_peak_beside_an_end_has_both_neighbours():
    t = line_positions(5)
    profile = Profile(t, np.array([0, 1.0, 0.5, 0, 0]), 1.0, "steep")
    assert (profile.barrier, profile.peak) == (1, 0.25)
    assert profile.barrier_error == pytest.approx(0.5**2 / (8 * 1.5))
