"""Figures of planes and lines can be drawn, and show what they were given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from book.show import plots
from book.show.landscapes import draw_plane, draw_profile, draw_surface, path_heights, viewpoint
from qpatch.landscape.lines import Profile, line_positions
from qpatch.landscape.planes import Plane, random_plane

X, Y = np.linspace(-2, 3, 6), np.linspace(-1, 1, 5)
LOSS = X[None, :] + 2 * Y[:, None] + 5  # from 1 to 10, linear so that interpolation is exact
PATH = np.array([[1.0, 0.5], [0.5, -0.25], [0.0, 0.0]])
BARE = random_plane(np.zeros(4), name="bare")


@pytest.fixture
def plane():
    return Plane(np.zeros(2), np.eye(2), "flat").with_trajectory(PATH)


@pytest.fixture
def figure():
    figure = plt.figure()
    yield figure
    figure.canvas.draw()  # everything that was drawn can be rendered
    plt.close(figure)


def profile(loss, name="line") -> Profile:
    return Profile(line_positions(len(loss)), np.array(loss, float), 4.0, name)


def test_a_plane_is_drawn_in_parameter_units_with_what_it_holds(figure, plane):
    ax = draw_plane(figure.subplots(), plane, X, Y, LOSS, best=2)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 3), (-1, 1))
    assert ax.get_title() == "flat\n100 % of the path"


def test_planes_to_compare_have_the_same_contours(figure, plane):
    levels = plots.contour_levels(LOSS)
    axes = figure.subplots(1, 2)
    for ax, loss in zip(axes, (LOSS, LOSS / 2), strict=True):
        draw_plane(ax, plane, X, Y, loss, levels)
    drawn = [next(c for c in ax.collections if hasattr(c, "levels")).levels for ax in axes]
    assert np.array_equal(drawn[0], levels)
    assert np.array_equal(drawn[1], levels)


def test_a_plane_without_a_trajectory_is_drawn_too(figure):
    draw_plane(figure.add_subplot(1, 2, 1), BARE, X, Y, LOSS)
    draw_surface(figure.add_subplot(1, 2, 2, projection="3d"), BARE, X, Y, LOSS)


def test_the_path_runs_just_above_the_surface_and_stops_at_its_edge(figure, plane):
    outside = plane.with_trajectory(np.vstack([PATH, [9.0, 0.0]]))
    heights = path_heights(outside, X, Y, LOSS)
    lift = heights[:3] - (PATH @ [1, 2] + 5)
    assert np.allclose(lift, lift[0])
    assert 0 < lift[0] < 0.05 * np.ptp(LOSS)
    assert np.isnan(heights[3])
    draw_surface(figure.add_subplot(projection="3d"), outside, X, Y, LOSS, best=2)


def test_the_legend_names_the_barrier(figure):
    ax = draw_profile(figure.subplots(), profile([1, 2.5, 1.5]))
    assert ax.get_legend().get_texts()[0].get_text() == "line: barrier 1.2"  # 2.5 - 1.25
    assert ax.get_xlim()[1] > 4  # in parameter units
    assert len(ax.texts) == 1  # the arrow
    draw_profile(ax, profile([1, 1.0, 1.5], "valley"), in_length=False)
    assert len(ax.texts) == 1


def test_a_surface_is_seen_over_its_lowest_corner():
    assert [viewpoint(field) for field in (LOSS, LOSS[:, ::-1], LOSS[::-1], LOSS[::-1, ::-1])] == [-135, -45, 135, 45]
