"""Figures for the screen alone: HTML that a page with plotly.js brings to life, each with a static twin.

They have the static figures' colours and white ground, on light and dark pages alike, and are hidden on paper.
"""

from __future__ import annotations

import html

import numpy as np
import plotly.graph_objects as go
from matplotlib.colors import to_hex

from book.show import plots
from book.show.landscapes import HIGH_COLOR, LOW_COLOR, path_heights, viewpoint
from qpatch.landscape.planes import Plane

SURFACE_HEIGHT = 440  # in CSS pixels
# A wheel over a figure scrolls the page; nothing is sent to another host.
PLOTLY = {"displaylogo": False, "responsive": True, "scrollZoom": False, "modeBarButtonsToRemove": ["sendChartToCloud"]}


def landscape_surface(landscape, description: str) -> str:
    """A run's landscape as a surface that can be turned, in the units of the paper's figure 3.

    Its static twin is `plots.draw_landscape`.
    """
    return _page(landscape_figure(landscape), description, height=SURFACE_HEIGHT)


def landscape_figure(landscape) -> go.Figure:
    """The figure of `landscape_surface`: the grid, then the path on it with its epochs."""
    units = plots.trajectory_norms(landscape)
    heights = path_heights(landscape, landscape.x, landscape.y, landscape.loss)
    path = np.column_stack([landscape.trajectory / units, heights])
    grid = landscape.x / units[0], landscape.y / units[1], landscape.loss
    return _surface(grid, path, landscape.best, ("PC 1", "PC 2"))


def plane_surface(plane: Plane, x, y, loss, description: str, best: int | None = None) -> str:
    """The loss on a plane as a surface that can be turned, in parameter units, as HTML for a page that has plotly.js.

    Its static twins are `landscapes.draw_plane` and `draw_surface`.

    Args:
        plane: the plane; its trajectory, if it has one, is drawn with the epochs, the first point as -1.
        x, y, loss: the grid.
        description: what a screen reader says.
        best: the trajectory's row that stands out.
    """
    path = np.column_stack([plane.trajectory, path_heights(plane, x, y, loss)]) if len(plane.trajectory) else None
    figure = _surface((x, y, loss), path, best, ("axis 1", "axis 2"))
    return _page(figure, description, height=SURFACE_HEIGHT)


def _surface(grid, path, best: int | None, labels: tuple[str, str]) -> go.Figure:
    """A grid ``(x, y, loss)`` and a path ``(points, 3)`` on it."""
    x, y, loss = grid
    levels = plots.contour_levels(loss)
    lines = {"show": True, "start": levels[0], "end": levels[-1], "size": levels[1] - levels[0], "color": "#777777"}
    hover = f"{labels[0]} %{{x:.3f}}<br>{labels[1]} %{{y:.3f}}<br>loss %{{z:.4f}}<extra></extra>"
    surface = go.Surface(
        x=x, y=y, z=loss, colorscale=[[0, LOW_COLOR], [1, HIGH_COLOR]], showscale=False, hovertemplate=hover,
        contours={"z": lines | {"width": 1, "highlightcolor": plots.BEST_COLOR}},
    )  # fmt: skip
    figure = go.Figure([surface] if path is None else [surface, _path(path, best, labels)])
    names = dict(zip(("xaxis", "yaxis", "zaxis"), (*labels, "loss"), strict=True))
    axis = {"gridcolor": plots.GRID_COLOR, "showbackground": False, "zeroline": False}
    axes = {key: axis | {"title": {"text": name}} for key, name in names.items()}
    azimuth = np.radians(viewpoint(loss))
    eye = {"x": 1.9 * np.cos(azimuth), "y": 1.9 * np.sin(azimuth), "z": 1.6}
    camera = {"eye": eye, "center": {"x": 0, "y": 0, "z": -0.15}}
    figure.update_layout(
        scene=axes | {"camera": camera, "aspectmode": "cube"}, showlegend=False, margin={"l": 0, "r": 0, "t": 0, "b": 0}
    )
    return figure


def _path(path: np.ndarray, best: int | None, labels: tuple[str, str]) -> go.Scatter3d:
    rows = np.arange(len(path))
    colors = [
        plots.BEST_COLOR if row == best else to_hex(c) for row, c in enumerate(plots.trajectory_colors(len(path)))
    ]
    hover = f"epoch %{{customdata}}<br>{labels[0]} %{{x:.3f}}<br>{labels[1]} %{{y:.3f}}<extra></extra>"
    return go.Scatter3d(
        x=path[:, 0], y=path[:, 1], z=path[:, 2], mode="lines+markers", customdata=rows - 1, hovertemplate=hover,
        marker={"size": np.where(rows == best, 9, 5), "color": colors, "line": {"width": 0}},
        line={"color": plots.PATH_COLOR, "width": 4},
    )  # fmt: skip


def _page(figure: go.Figure, description: str, height: int) -> str:
    figure.update_layout(height=height, paper_bgcolor="white", font={"color": plots.INK})
    body = figure.to_html(full_html=False, include_plotlyjs=False, config=PLOTLY)
    return f'<div class="qpatch-interactive" role="group" aria-label="{html.escape(description)}">{body}</div>'
