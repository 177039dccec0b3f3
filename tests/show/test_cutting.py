"""Gates between the halves of a QNN, and what cutting them would cost."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest

from book.show.cutting import OVERHEADS, crossing_gates, draw_cutting


@pytest.mark.parametrize(("depth", "rings"), [(1, 4), (2, 7), (50, 151)])
def test_every_ring_crosses_twice(depth, rings):
    """A ring after each of 3 d blocks but the last, and after both encoding blocks."""
    assert rings == 3 * depth - 1 + 2
    assert crossing_gates(8, depth) == 2 * rings


def test_one_cut_costs_what_is_published():
    assert [overhead(1) for overhead, *_ in OVERHEADS.values()] == [9, 16, 9]


def test_the_figure_draws():
    fig, ax = plt.subplots()
    draw_cutting(ax)
    fig.canvas.draw()
    plt.close(fig)
