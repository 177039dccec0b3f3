"""The principal plane of trajectories that were laid out by hand, and grids of functions that are known."""

import numpy as np
import pytest

from qpatch.landscape import evaluate_grid, grid_axes, pca_plane

# Orthogonal, of mean zero: the coordinates of five points along two directions, with squares 10 k^2 and 14.
FIRST, SECOND = np.array([-2, -1, 0, 1, 2.0]), np.array([2, -1, -2, -1, 2.0])


def planted(n: int = 12, lift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A trajectory of five points in n parameters around a mean far from zero, and its orthonormal directions.

    ``lift`` raises the points off the plane in turn, along a third direction.
    """
    basis, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(n, 3)))
    third = np.array([-1, 2, 0, -2, 1.0])  # orthogonal to FIRST, SECOND and to a constant
    trajectory = 3.0 + np.outer(3 * FIRST, basis[:, 0]) + np.outer(SECOND, basis[:, 1])
    return trajectory + lift * np.outer(third, basis[:, 2]), basis.T


def test_planted_plane_is_found():
    trajectory, directions = planted()
    plane = pca_plane(trajectory, origin=4)
    assert np.allclose(np.abs(plane.axes @ directions[:2].T), np.eye(2), atol=1e-12)
    assert np.allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    assert np.allclose(plane.ratios, [90 / 104, 14 / 104], atol=1e-12)  # 9 * 10 and 14


def test_ratios_are_of_the_whole_variance():
    trajectory, _ = planted(lift=0.5)  # 0.25 * 10 along the third direction
    assert np.allclose(pca_plane(trajectory, origin=0).ratios, [90 / 106.5, 14 / 106.5], atol=1e-12)


@pytest.mark.parametrize("origin", [0, 2, 4])
def test_coordinates_are_relative_to_the_chosen_point(origin):
    trajectory, directions = planted()
    plane = pca_plane(trajectory, origin)
    assert np.allclose(plane.trajectory[origin], 0, atol=1e-12)
    for axis, expected in enumerate((3 * FIRST, SECOND)):
        sign = np.sign(plane.axes[axis] @ directions[axis])
        assert np.allclose(sign * plane.trajectory[:, axis], expected - expected[origin], atol=1e-12)
    for point, (x, y) in zip(trajectory, plane.trajectory, strict=True):
        assert np.allclose(plane.point(x, y), point, atol=1e-12)


def test_the_plane_goes_through_the_mean_and_misses_a_lifted_point():
    trajectory, directions = planted(lift=0.5)
    plane = pca_plane(trajectory, origin=1)
    missing = trajectory[1] - plane.origin
    assert np.allclose(missing, 0.5 * 2 * directions[2], atol=1e-12)  # 2 is the point's place along the third direction
    mean = trajectory.mean(axis=0) - plane.origin
    assert np.allclose(plane.point(*(plane.axes @ mean)), trajectory.mean(axis=0), atol=1e-12)


def test_single_precision_trajectories_are_analysed_in_double():
    """Where the spread is 1e-3 of the mean, float32 moments would lose the second component."""
    trajectory, _ = planted()
    small = (1e3 + trajectory / 10).astype(np.float32)
    # rounding of 1e3 to float32 is 3e-5 against a spread of 0.4 and more: 1e-3 in the variance at most
    assert np.allclose(pca_plane(small, origin=0).ratios, [90 / 104, 14 / 104], atol=1e-3)


@pytest.mark.parametrize(
    ("trajectory", "message"),
    [
        (np.ones((2, 5)), r"a plane needs three or more points of two or more parameters, not shape \(2, 5\)"),
        (np.ones((5, 1)), r"not shape \(5, 1\)"),
        (np.ones(5), r"not shape \(5,\)"),
        (np.ones((4, 3)), r"lie on one line or point; it spans no plane"),
        (1.0 + np.outer(FIRST, np.arange(6.0)), r"lie on one line or point"),
        (np.where(np.eye(4) == 1, np.nan, 0.0), r"holds values that are not finite"),
        (np.where(np.eye(4) == 1, np.inf, 0.0), r"holds values that are not finite"),
    ],
)
def test_a_trajectory_without_a_plane_is_refused(trajectory, message):
    with pytest.raises(ValueError, match=message):
        pca_plane(trajectory, origin=0)


def test_grid_spans_the_trajectory_with_the_papers_margin():
    plane = pca_plane(planted()[0], origin=4)
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
    plane = pca_plane(planted()[0], origin=2)
    x, y = np.linspace(-2, 3, 4), np.linspace(1, 5, 3)
    grid = evaluate_grid(quadratic(plane.origin), plane, x, y)
    assert grid.shape == (3, 4)
    assert np.allclose(grid, x[None, :] ** 2 + y[:, None] ** 2, atol=1e-12)


def test_an_interrupted_grid_goes_on_after_its_finished_rows():
    plane = pca_plane(planted()[0], origin=2)
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
    plane = pca_plane(np.random.default_rng(0).normal(size=(5, 3)), origin=0)
    with pytest.raises(ValueError, match=f"a grid of {n_points} points an axis with margin {margin}"):
        grid_axes(plane, n_points, margin)
