"""Epochs beside the author's log, leaps, runs of like size, and that their figures show what they were given."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from helpers import TINY, store_spectrum, store_training

from book.show import plots
from book.show.epochs import beside_author, draw_beside_author, draw_by_size, grid_of_runs, leaps
from book.show.spectra import draw_spectra
from qpatch.config import RunConfig
from qpatch.runs.published import reference_table
from qpatch.study.measures import of_size

LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]  # of the initial point and four epochs


@pytest.fixture
def figure():
    figure = plt.figure()
    yield figure
    figure.canvas.draw()  # everything that was drawn can be rendered
    plt.close(figure)


def test_the_author_s_losses_stand_beside_the_epochs_they_belong_to():
    table = beside_author(store_training(RunConfig(stride=6, depth=50), LOSSES))
    published = reference_table("epochs").query("stride == 6 and depth == 50").set_index("epoch")["test_loss"]
    assert table["epoch"].tolist() == [0, 1, 2, 3]  # without the initial point, which the log has not
    assert table["author_test_loss"].tolist() == published.loc[[0, 1, 2, 3]].tolist()


@pytest.mark.parametrize("config", [TINY, RunConfig(stride=6, depth=50, seed=7), RunConfig(stride=6, depth=200)])
def test_a_run_that_the_author_published_no_log_of_stands_alone(config):
    table = beside_author(store_training(config, LOSSES))
    assert len(table) == 4
    assert table["author_test_loss"].isna().all()


def test_a_leap_is_a_rise_by_more_than_the_factor():
    table = pd.DataFrame({"epoch": range(5), "test_loss": [0.1, 0.3, 0.2, 0.9, 0.8]})
    found = leaps(table, factor=3.5)
    assert found["epoch"].tolist() == [3]
    assert found["rise"].tolist() == pytest.approx([4.5])


def test_comparable_sizes_lie_within_a_fraction():
    table = reference_table("runs")
    near = of_size(table, 40_000)
    assert near[["n_patches", "depth"]].values.tolist() == [[4, 200], [9, 100], [16, 50]]
    assert of_size(table, 1000).empty


def test_a_place_without_a_run_says_so(figure):
    runs = [store_training(RunConfig(stride=stride, depth=depth), LOSSES) for stride, depth in ((6, 50), (3, 100))]
    drawn = []
    grid = grid_of_runs(runs, lambda ax, run: drawn.append(run.run_id))
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in grid.axes]
    assert drawn == [run.run_id for run in runs]
    assert titles == [f"{n} patches, depth {d}" for n in (4, 9) for d in (50, 100)]
    assert [bool(ax.texts) for ax in grid.axes] == [False, True, True, False]
    plt.close(grid)


def test_shared_axes_are_labelled_where_no_other_panel_is_nearer_the_edge():
    runs = [
        store_training(RunConfig(stride=stride, depth=depth), LOSSES) for stride, depth in ((6, 50), (6, 100), (3, 50))
    ]
    grid = grid_of_runs(runs, lambda ax, run: ax.set(xlabel="x", ylabel="y"), share=True)
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in grid.axes] == [("", "y"), ("x", ""), ("x", "y"), ("", "")]
    shown = [(ax.xaxis.get_tick_params()["labelbottom"], ax.yaxis.get_tick_params()["labelleft"]) for ax in grid.axes]
    assert shown[:3] == [(False, True), (True, False), (True, True)]
    plt.close(grid)


def test_spectra_are_binned_as_the_coarsest_of_them_and_share_a_legend():
    coarse, fine = (store_training(RunConfig(stride=6, depth=depth), LOSSES) for depth in (50, 100))
    for run, scale in ((coarse, 1.0), (fine, 0.1)):
        store_spectrum(run)
        run.write_csv("density.csv", run.density().assign(node=lambda table, scale=scale: scale * table["node"]))
    figure = draw_spectra([coarse, fine])
    figure.canvas.draw()
    edges = [ax.patches[0].get_data().edges for ax in figure.axes]
    width = (4.0 - -0.5) / 3  # what the coarse density resolves: its reach over its number of steps
    assert all(np.min(np.diff(values)) >= width and -width in values for values in edges)
    assert len(figure.legends) == 1
    assert not any(ax.get_legend() for ax in figure.axes)
    plt.close(figure)


def test_curves_show_both_losses_and_the_author_s_dots_where_there_are_some(figure):
    table = beside_author(store_training(RunConfig(stride=6, depth=50), LOSSES))
    with_log, without = figure.subplots(1, 2)
    draw_beside_author(with_log, table, best_epoch=2)
    draw_beside_author(without, table.assign(author_test_loss=np.nan), best_epoch=2)
    counts = [len(ax.get_legend_handles_labels()[1]) for ax in (with_log, without)]
    assert counts == [4, 3]  # best epoch, training, test, and the author's


def test_sizes_are_drawn_by_number_of_patches_in_their_colours(figure):
    ax = draw_by_size(figure.subplots(), reference_table("runs"), "test_loss", published=True)
    assert [line.get_color() for line in ax.lines] == [plots.patch_color(n) for n in (4, 9, 16)]
    assert all(np.all(np.diff(line.get_xdata()) > 0) for line in ax.lines)
