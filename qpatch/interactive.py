"""Figures for the screen alone: HTML that a page with plotly.js brings to life, each with a static twin in `plots`."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from scipy.interpolate import RegularGridInterpolator

from qpatch import plots


def landscape_surface(landscape, description: str) -> str:
    """The landscape as a surface that can be turned, as HTML for a page that has plotly.js.

    On paper it is hidden: draw its static twin, `plots.draw_landscape`, beside it.
    """
    unit_x, unit_y = plots.trajectory_norms(landscape)
    path = landscape.trajectory / (unit_x, unit_y)
    surface = go.Surface(
        x=landscape.x / unit_x, y=landscape.y / unit_y, z=landscape.loss, colorscale="Viridis",
        opacity=0.92, showscale=False, hovertemplate="PC 1 %{x:.2f}<br>PC 2 %{y:.2f}<br>loss %{z:.3f}<extra></extra>",
    )  # fmt: skip
    heights = RegularGridInterpolator((landscape.y, landscape.x), landscape.loss)(landscape.trajectory[:, ::-1])
    heights += 0.01 * np.ptp(landscape.loss)  # just above the surface, to be seen
    colors = [f"rgb({r * 255:.0f},{g * 255:.0f},{b * 255:.0f})" for r, g, b, _ in plots.trajectory_colors(len(path))]
    epochs = np.arange(len(path)) - 1
    line = go.Scatter3d(
        x=path[:, 0], y=path[:, 1], z=heights, mode="lines+markers", marker={"size": 3, "color": colors},
        line={"color": "#9467BD", "width": 3}, customdata=epochs, hovertemplate="epoch %{customdata}<extra></extra>",
    )  # fmt: skip
    figure = go.Figure([surface, line])
    axes = {
        "xaxis": {"title": {"text": "PC 1"}},
        "yaxis": {"title": {"text": "PC 2"}},
        "zaxis": {"title": {"text": "loss"}},
    }
    figure.update_layout(
        scene=axes | {"camera": {"eye": {"x": 1.4, "y": -1.4, "z": 0.9}}}, showlegend=False, height=440,
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, paper_bgcolor="white", font={"color": plots.INK},
    )  # fmt: skip
    body = figure.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True})
    return f'<div class="qpatch-interactive" role="img" aria-label="{description}">{body}</div>'
