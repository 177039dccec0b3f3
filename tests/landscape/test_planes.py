"""Planes through trajectories that were laid out by hand, random ones, and what share of a path they hold."""

import numpy as np
import pytest

from qpatch.landscape.lines import Line, evaluate_line
from qpatch.landscape.planes import Plane, normalise_by_group, pca_plane, random_plane, spanned_plane, variance_ratios

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


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_huge_and_tiny_trajectories_have_the_plane_of_their_shape(unit):
    trajectory = np.random.default_rng(0).normal(size=(6, 9))
    plane, scaled = pca_plane(trajectory, origin=2), pca_plane(unit * trajectory, origin=2)
    for expected, found in [
        (plane.ratios, scaled.ratios),
        (plane.axes, scaled.axes),
        (plane.trajectory, scaled.trajectory / unit),
        (plane.origin, scaled.origin / unit),
        (plane.ratios, variance_ratios(plane.axes, unit * trajectory)),
    ]:
        assert np.allclose(found, expected, rtol=1e-9, atol=1e-12)  # rounding of an eigenproblem of order one


def test_lists_are_taken_for_arrays():
    trajectory = np.random.default_rng(0).normal(size=(6, 9))
    assert np.array_equal(pca_plane(trajectory.tolist(), 0).axes, pca_plane(trajectory, 0).axes)
    assert Plane([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]).point(2, 3).tolist() == [2, 3]
    line = Line([0.0, 0.0], [3.0, 4.0])
    assert line.length == 5
    assert evaluate_line(np.sum, line, [0, 0.5, 1]).loss.tolist() == [0, 3.5, 7]


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


# -- any plane ----------------------------------------------------------------------------------------------------

GROUPS = {"first": slice(0, 7), "second": slice(7, 20), "bias": slice(20, 25)}
POINT = np.random.default_rng(1).normal(size=25) * np.repeat([1.0, 5.0, 0.1], [7, 13, 5])
ROUNDING = 1e-14  # a few times 25 eps, for sums of 25 products of numbers up to 1


def is_orthonormal(axes: np.ndarray) -> bool:
    return np.allclose(axes @ axes.T, np.eye(2), rtol=0, atol=ROUNDING)


def test_a_plane_through_the_minimum_keeps_directions_and_shares():
    trajectory, _ = planted(lift=0.5)
    plane = pca_plane(trajectory, origin=1)
    moved = plane.through(trajectory[1], "minimum")
    assert moved.name == "minimum"
    assert np.array_equal(moved.origin, trajectory[1])
    assert np.array_equal(moved.axes, plane.axes)
    assert np.array_equal(moved.ratios, plane.ratios)
    # its origin is projected to the old one, so the coordinates stay
    assert np.allclose(moved.trajectory, plane.trajectory, atol=1e-12)
    assert moved.distances(trajectory[1:2])[0] == 0
    assert plane.distances(trajectory[1:2])[0] == pytest.approx(1.0, abs=1e-12)  # half of 2 along the third direction
    elsewhere = plane.through(trajectory[4])
    assert elsewhere.name == plane.name
    assert np.allclose(elsewhere.trajectory, elsewhere.project(trajectory), atol=1e-12)


def test_projection_undoes_point():
    plane = random_plane(POINT, seed=3)
    coordinates = np.array([[0.0, 0.0], [1.5, -2.0]])
    points = np.stack([plane.point(x, y) for x, y in coordinates])
    assert np.allclose(plane.project(points), coordinates, atol=1e-13)
    assert np.allclose(plane.distances(points), 0, atol=1e-13)


def test_a_trajectory_in_the_plane_has_all_its_variance_there():
    plane = random_plane(POINT, seed=3)
    path = np.stack([plane.point(x, y) for x, y in [(0, 0), (1, 2), (3, -1), (4, 4)]])
    held = plane.with_trajectory(path)
    assert held.ratios.sum() == pytest.approx(1, abs=1e-13)
    assert np.allclose(held.trajectory, [(0, 0), (1, 2), (3, -1), (4, 4)], atol=1e-13)
    # squares about the means: 4 + 1 + 1 + 4 and 1.5625 + 0.5625 + 5.0625 + 7.5625 of x and y
    assert np.allclose(held.ratios, [10 / 24.75, 14.75 / 24.75], atol=1e-13)


def test_shares_agree_with_those_of_the_principal_components():
    trajectory, _ = planted(lift=0.5)
    plane = pca_plane(trajectory, origin=2)
    assert np.allclose(variance_ratios(plane.axes, trajectory), plane.ratios, atol=1e-14)


def test_every_plane_holds_the_same_share_of_an_isotropic_cloud():
    cloud = np.concatenate([np.eye(25), -np.eye(25)])  # the same variance in every direction
    shares = [variance_ratios(random_plane(np.zeros(25), seed).axes, cloud).sum() for seed in range(5)]
    assert np.allclose(shares, 2 / 25, atol=ROUNDING)


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_random_planes_are_orthonormal_and_follow_their_seed(groups):
    planes = [random_plane(POINT, seed, groups) for seed in (0, 0, 1)]
    assert all(is_orthonormal(plane.axes) for plane in planes)
    assert all(np.array_equal(plane.origin, POINT) for plane in planes)
    assert np.array_equal(planes[0].axes, planes[1].axes)
    assert np.abs(planes[0].axes @ planes[2].axes.T).max() < 0.9


def test_each_groups_part_is_as_long_as_its_parameters():
    plane = random_plane(POINT, 0, GROUPS)
    for group in GROUPS.values():
        expected = np.linalg.norm(POINT[group]) / np.linalg.norm(POINT)
        assert np.allclose(np.linalg.norm(plane.axes[:, group], axis=1), expected, rtol=0, atol=ROUNDING)
        assert abs(plane.axes[0, group] @ plane.axes[1, group]) < ROUNDING  # orthogonal group by group
    free = random_plane(POINT, 0)
    assert not np.allclose(np.linalg.norm(free.axes[:, GROUPS["bias"]], axis=1), expected, rtol=0.5)


def test_a_direction_is_scaled_by_group():
    direction = np.arange(1.0, 26.0)
    scaled = normalise_by_group(direction, POINT, GROUPS)
    assert np.linalg.norm(scaled) == pytest.approx(1, abs=ROUNDING)
    for group in GROUPS.values():
        ratio = scaled[group] / direction[group]
        assert np.allclose(ratio, ratio[0], rtol=1e-14)
        wanted = np.linalg.norm(POINT[group]) / np.linalg.norm(POINT) / np.linalg.norm(direction[group])
        assert ratio[0] == pytest.approx(wanted, rel=1e-14)


def test_a_group_of_zeros_gets_no_part():
    point = POINT.copy()
    point[GROUPS["bias"]] = 0  # as before training
    plane = random_plane(point, 0, GROUPS)
    assert not plane.axes[:, GROUPS["bias"]].any()
    assert is_orthonormal(plane.axes)


def test_the_plane_of_two_vectors_holds_both():
    first, second = np.random.default_rng(2).normal(size=(2, 25))
    plane = spanned_plane(POINT, first, 1e6 * first + second)  # nearly along the first
    assert is_orthonormal(plane.axes)
    assert np.allclose(plane.axes[0], first / np.linalg.norm(first), atol=ROUNDING)
    # cancellation leaves 1e6 eps of the second vector's direction
    assert np.allclose(plane.distances(POINT + np.stack([first, second])), 0, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: spanned_plane(POINT, POINT, -2 * POINT),
            r"along one line \(sine of their angle .*\) and span no plane",
        ),
        (lambda: spanned_plane(POINT, 0 * POINT, POINT), r"the first vector has norm 0; a direction needs one that is"),
        (lambda: spanned_plane(POINT, POINT, np.nan * POINT), r"the second vector has norm nan"),
        (lambda: random_plane(np.ones(1)), r"the origin has shape \(1,\); a plane takes a vector of two or more"),
        (lambda: random_plane(np.zeros(25), 0, GROUPS), r"all parameters are 0 at the point.*use groups=None"),
        (lambda: random_plane(POINT, 0, {"all but": slice(0, 24)}), r"1 parameters are not in exactly one group"),
        (
            lambda: random_plane(POINT, 0, {"most": slice(0, 24), "last": slice(24, 25)}),
            r"group 'last' of one parameter has no two orthogonal directions; join it to another",
        ),
        (
            lambda: normalise_by_group(np.r_[np.zeros(7), np.ones(18)], POINT, GROUPS),
            r"the direction is 0 in group 'first', whose parameters are not",
        ),
        (lambda: Plane(POINT, np.ones((2, 25))), r"the axes are 25 away from orthonormal; make the plane by"),
        (lambda: Plane(POINT, np.eye(2)), r"origin \(25,\) and axes \(2, 2\); give \(n,\) and \(2, n\)"),
        (lambda: Plane(np.inf * POINT, np.eye(2, 25)), r"the plane 'plane' holds values that are not finite"),
        (lambda: variance_ratios(np.eye(2, 25), POINT[None]), r"shape \(1, 25\); give two or more points of 25 values"),
        (lambda: variance_ratios(np.eye(2, 25), np.full((3, 25), 0.1)), r"all 3 points of the trajectory are the same"),
        (lambda: random_plane(POINT).with_trajectory(np.full((3, 25), np.nan)), r"drop the diverged epochs"),
    ],
)
def test_what_spans_no_plane_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
