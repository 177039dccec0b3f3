"""Surfaces for the screen ask no host and say what they show."""

import numpy as np

from book.site import interactive
from qpatch.landscape.planes import Plane, random_plane
from qpatch.runs.readings import Landscape

X, Y = np.linspace(-2, 3, 6), np.linspace(-1, 1, 5)
LOSS = X[None, :] + 2 * Y[:, None] + 5
PATH = np.array([[1.0, 0.5], [0.5, -0.25], [0.0, 0.0]])


def test_a_plane_s_surface_asks_no_host_and_says_what_it_shows():
    plane = Plane(np.zeros(2), np.eye(2), "flat").with_trajectory(PATH)
    page = interactive.plane_surface(plane, X, Y, LOSS, 'a "plane"', best=2)
    assert page.startswith('<div class="qpatch-interactive" role="group" aria-label="a &quot;plane&quot;">')
    assert "src=" not in page
    assert "epoch %{customdata}" in page
    assert "loss %{z:.4f}" in page


def test_a_plane_without_a_trajectory_has_a_surface_too():
    bare = random_plane(np.zeros(4), name="bare")
    assert "plotly-graph-div" in interactive.plane_surface(bare, X, Y, LOSS, "bare")


def test_a_run_s_surface_asks_no_host_for_its_script():
    html = interactive.landscape_surface(Landscape(X, Y, LOSS, PATH, np.array([0.8, 0.15]), 2), "a surface")
    assert "plotly-graph-div" in html
    assert "src=" not in html
    assert 'aria-label="a surface"' in html
