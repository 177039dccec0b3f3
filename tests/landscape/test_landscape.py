"""Grids of functions that are known, on a plane that was laid out by hand."""

import itertools
import time

import numpy as np
import pytest
from tqdm import tqdm

from qpatch.landscape import grid
from qpatch.landscape.grid import count_basins, evaluate_grid, forecast, grid_axes
from qpatch.landscape.planes import random_plane

ORIGIN = np.arange(12.0)
PATH = ORIGIN + np.random.default_rng(1).normal(size=(5, 12))
PLANE = random_plane(ORIGIN).with_trajectory(PATH)


def test_grid_spans_the_trajectory_with_the_papers_margin():
    plane = PLANE
    for axis, coordinates in enumerate(grid_axes(plane)):
        path = plane.trajectory[:, axis]
        assert len(coordinates) == 20
        assert coordinates[0] == pytest.approx(path.min() - 5)
        assert coordinates[-1] == pytest.approx(path.max() + 5)
        assert np.allclose(np.diff(coordinates), np.ptp(coordinates) / 19)


def quadratic(origin: np.ndarray):
    """Squared distance from a point, which on a plane through it is x^2 + y^2."""
    return lambda point: float(((point - origin) ** 2).sum())


def test_grid_values_of_a_quadratic_are_exact():
    plane = PLANE
    x, y = np.linspace(-2, 3, 4), np.linspace(1, 5, 3)
    grid = evaluate_grid(quadratic(plane.origin), plane, x, y)
    assert grid.shape == (3, 4)
    assert np.allclose(grid, x[None, :] ** 2 + y[:, None] ** 2, atol=1e-12)


def test_an_interrupted_grid_goes_on_after_its_finished_rows():
    plane = PLANE
    x, y = np.linspace(-2, 3, 4), np.linspace(1, 5, 5)
    whole = evaluate_grid(quadratic(plane.origin), plane, x, y)
    kept, calls = [], []

    def failing(point):
        calls.append(point)
        if len(calls) == 10:  # in the third row
            raise KeyboardInterrupt
        return quadratic(plane.origin)(point)

    with pytest.raises(KeyboardInterrupt):
        evaluate_grid(failing, plane, x, y, on_row=kept.append)
    assert [rows.shape for rows in kept] == [(1, 4), (2, 4)]

    calls.clear()
    calls += [None] * 10  # fails no more
    resumed = evaluate_grid(failing, plane, x, y, done=kept[-1], on_row=kept.append)
    assert np.array_equal(resumed, whole)
    assert len(calls) - 10 == 3 * 4
    assert np.array_equal(kept[-1], whole)


@pytest.mark.parametrize(("n_points", "margin"), [(0, 5.0), (1, 5.0), (20, -1.0), (20, float("nan"))])
def test_a_grid_that_spans_nothing_is_refused(n_points, margin):
    with pytest.raises(ValueError, match=f"a grid of {n_points} points an axis with margin {margin}"):
        grid_axes(PLANE, n_points, margin)


def test_a_plane_without_a_trajectory_has_its_origin_in_the_middle():
    x, y = grid_axes(random_plane(ORIGIN), n_points=5, margin=2.0)
    assert np.array_equal(x, [-2, -1, 0, 1, 2])
    assert np.array_equal(x, y)
    with pytest.raises(ValueError, match="with margin 0 spans nothing"):
        grid_axes(random_plane(ORIGIN), n_points=5, margin=0)


def test_a_loss_that_is_not_finite_stops_the_grid_and_keeps_the_rows_before():
    kept = []

    def loss(point):
        return np.nan if point @ PLANE.axes[1] - ORIGIN @ PLANE.axes[1] > 1.5 else 1.0

    with pytest.raises(FloatingPointError, match=r"the loss is nan at \(-1, 2\) of the grid; check the model there"):
        evaluate_grid(loss, PLANE, np.array([-1.0, 0.0]), np.array([0.0, 1.0, 2.0]), on_row=kept.append)
    assert [len(rows) for rows in kept] == [1, 2]


# -- the time it takes --------------------------------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still but for what `slow` adds to it."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def slow(clock: list[float], each: float):
    """A loss whose first evaluation takes 1000 seconds and whose others take less."""
    times = itertools.chain([1000.0], itertools.repeat(each))

    def loss(point):
        clock[0] += next(times)
        return 1.0

    return loss


@pytest.mark.parametrize(
    ("evaluations", "each", "text"),
    [
        (220, 0.5, "220 losses of 0.5 s: about 1.8 min"),
        (1000, 12.5, "1,000 losses of 12 s: about 3.5 h"),
        (50, 0.004, "50 losses of 0.004 s: about 0.2 s"),
    ],
)
def test_a_forecast_is_a_sentence_that_leaves_out_the_first_evaluation(clock, evaluations, each, text):
    assert forecast(slow(clock, each), ORIGIN, evaluations) == text


def test_a_grid_shows_after_each_point_how_many_are_left(monkeypatch):
    """Of which the bar makes the time; three of four rows are left."""
    bars, seen = [], []
    monkeypatch.setattr(grid, "tqdm", lambda **options: bars.append(tqdm(**options)) or bars[-1])

    def loss(point):
        seen.append(bars[-1].n)
        return 1.0

    axis = np.arange(3.0)
    evaluate_grid(loss, PLANE, axis, np.arange(4.0), done=np.ones((1, 3)), progress=True)
    assert (bars[0].total, bars[0].initial) == (12, 3)
    assert (seen, bars[0].n) == ([*range(3, 12)], 12)
    seen.clear()
    evaluate_grid(loss, PLANE, axis, np.arange(4.0))
    assert seen == [0] * 12  # not asked for, it counts nothing


def test_a_forecast_of_a_loss_that_is_not_finite_is_refused():
    with pytest.raises(FloatingPointError, match="the loss is inf at the point that is timed"):
        forecast(lambda point: np.inf, ORIGIN, 10)


def test_basins_of_a_grid():
    x = np.linspace(-2, 2, 41)
    bowl = x[:, None] ** 2 + x**2
    wells = (x[:, None] ** 2 - 1) ** 2 + (x**2 - 1) ** 2  # four, with passes of height 1 between them
    counts = [count_basins(loss) for loss in (bowl, wells, x[:, None] + x, np.ones((5, 5)))]
    assert counts == [1, 4, 1, 1]
    assert count_basins(wells, depth=1.1) == 1


def test_a_dip_shallower_than_a_contour_is_no_basin():
    x = np.linspace(-2, 2, 41)
    dip = np.where(np.abs(x - 1) < 0.05, 0.3, 0.0)
    loss = x[:, None] ** 2 + x**2 - np.outer(np.abs(x) < 0.05, dip)  # 0.3 deep on a slope
    assert (count_basins(loss), count_basins(loss, depth=0.05)) == (1, 2)
