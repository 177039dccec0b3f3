import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from book.show import plots, tables
from qpatch.config import RunConfig
from qpatch.runs.readings import Landscape


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    fig.canvas.draw()  # everything that was drawn can be rendered
    plt.close(fig)


@pytest.fixture
def landscape():
    x, y = np.linspace(-6, 9, 20), np.linspace(-5, 7, 20)
    loss = 0.02 * x[None, :] ** 2 + 0.05 * y[:, None] ** 2
    trajectory = np.array([[4.0, 3.0], [3.0, 4.0], [0.0, 0.0]])
    return Landscape(x, y, loss, trajectory, np.array([0.8, 0.15]), 2)


@pytest.fixture
def table():
    return pd.DataFrame({"n_patches": [4, 4, 9], "depth": [4, 2, 2], "lambda_max": [8.0, 5.0, np.nan]})


def test_colors_of_patch_numbers_differ():
    assert len(set(plots.PATCH_COLORS.values())) == len(plots.PATCH_COLORS)
    assert set(plots.PATCH_COLORS) == set(plots.PATCH_MARKERS)
    assert plots.patch_color(36) == plots.OTHER_COLOR


def test_axes_are_in_units_of_the_trajectory_norm(landscape, ax):
    np.testing.assert_allclose(plots.trajectory_norms(landscape), [5, 5])
    plots.draw_landscape(ax, landscape)
    low, high = ax.get_xlim()
    assert low >= -6 / 5 - 1e-9
    assert high <= 9 / 5 + 1e-9


def test_trajectory_of_no_extent_keeps_its_units(landscape):
    still = Landscape(landscape.x, landscape.y, landscape.loss, np.zeros((3, 2)), landscape.ratios, 0)
    np.testing.assert_allclose(plots.trajectory_norms(still), [1, 1])


def test_contours_stand_half_a_unit_apart(landscape):
    levels = plots.contour_levels(landscape.loss)
    np.testing.assert_allclose(np.diff(levels), 0.5)
    assert levels[0] <= landscape.loss.min()
    assert levels[-1] >= landscape.loss.max()


@pytest.mark.parametrize("loss", [np.full((3, 3), 2.0), np.linspace(0, 1e-4, 9).reshape(3, 3)])
def test_shallow_landscapes_have_contours_too(loss, ax):
    levels = plots.contour_levels(loss)
    assert len(levels) >= 2
    assert np.all(np.diff(levels) > 0)
    assert levels[0] <= loss.min()
    assert levels[-1] >= loss.max()
    plots.draw_contours(ax, range(3), range(3), loss)
    assert ax.collections


def test_missing_values_are_not_drawn(table, ax):
    plots.draw_by_depth(ax, table, "lambda_max")
    assert [list(line.get_xdata()) for line in ax.lines] == [[2, 4]]


def test_published_values_are_told_apart(table, ax):
    plots.draw_by_depth(ax, table, "lambda_max", published=True)
    assert ax.lines[0].get_linestyle() == "--"


def test_outlines_count_the_patches(ax):
    config = RunConfig(stride=3)
    plots.draw_patch_outlines(ax, np.zeros((14, 14)), config)
    assert len(ax.patches) == config.n_patches + 1  # and the shaded first one


def test_a_second_table_on_an_axis_keeps_the_first_ones_depths(ax):
    for depths in ([50, 100, 200], [50]):
        plots.draw_by_depth(ax, pd.DataFrame({"depth": depths, "n_patches": 4, "lambda_max": 1.0}), "lambda_max")
    assert ax.get_xticks().tolist() == [50, 100, 200]


def test_every_number_of_patches_is_in_the_legend_of_epochs(ax):
    rows = [(4, 2, 0, 1.0), (4, 2, 1, 0.5), (9, 2, 0, 1.0), (9, 8, 0, 1.0)]  # no deep run of 4 patches
    plots.draw_epochs(ax, pd.DataFrame(rows, columns=["n_patches", "depth", "epoch", "loss"]), "loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["4 patches", "9 patches"]


@pytest.mark.parametrize(("last", "marked"), [(49, {0, 10, 20, 30, 40}), (6, {0, 2, 4, 6})])
def test_epochs_are_marked_at_whole_numbers_and_long_runs_at_the_period_of_the_rate(ax, last, marked):
    epochs = pd.DataFrame({"epoch": range(last + 1), "learning_rate": 0.01})
    plots.draw_learning_rate(ax, epochs)
    assert {tick for tick in ax.get_xticks() if 0 <= tick <= last} >= marked
    assert all(tick == int(tick) for tick in ax.get_xticks())
    assert ax.get_ylim()[0] < 0  # a rate of zero is not hidden by the axis


@pytest.mark.parametrize(("first", "narrow"), [("4", True), ("A sentence that wants room", False)])
def test_a_first_column_of_words_gets_room(first, narrow):
    page = tables.plain(pd.DataFrame({"What": [first], "Value": ["1"]}), text=True).to_html()
    assert ("narrow" in page) == narrow
    assert "narrow" not in tables.plain(pd.DataFrame({"What": [first]})).to_html()


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        *[(100, 2, "100"), (99.96, 3, "100"), (1234.5, 2, "1,234"), (0.97, 3, "0.970"), (2, 2, "2.0"), (0, 2, "0")],
        (-3e-5, 1, "-3e-05"),
    ],
)
def test_numbers_keep_their_zeros_and_are_no_powers_of_ten(value, digits, text):
    assert tables.significant(value, digits) == text


def test_what_stands_beside_the_paper_is_ours(table):
    figure, axes = plt.subplots(1, 2)
    plots.draw_by_depth(axes[0], table, "lambda_max", published=True)
    for each in axes:
        plots.draw_by_depth(each, table, "lambda_max")
    plots.share_legend(figure)
    assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["4 patches (paper)", "4 patches (ours)"]
    plt.close(figure)


def test_long_tables_scroll_by_themselves():
    few, many = (tables.plain(pd.DataFrame({"a": range(rows)})).to_html() for rows in (tables.LONG, tables.LONG + 1))
    assert ('"qpatch-table dataframe"' in few) & ('"qpatch-table long dataframe"' in many)
