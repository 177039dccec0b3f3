"""One surface to turn, with a choice among landscapes: HTML for a page that has plotly.js.

One, not twelve: a browser draws only so many three-dimensional scenes on a page.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping

from plotly.utils import PlotlyJSONEncoder

from book.show import plots
from book.site.interactive import PLOTLY, SURFACE_HEIGHT, landscape_figure
from qpatch.runs.readings import Landscape

TURNS = {"Turn left": (-1, 0), "Turn right": (1, 0), "Look from higher": (0, 1), "Look from lower": (0, -1)}
ARROWS = dict(zip(TURNS, "←→↑↓", strict=True))

# Plotly needs its data when it draws; a page without plotly.js keeps the static grid.
SCRIPT = """(() => {
  const root = document.currentScript.closest(".qpatch-gallery");
  const plot = root.querySelector(".plotly-graph-div"), choice = root.querySelector("select");
  const {runs, layout, config} = JSON.parse(root.querySelector("[type='application/json']").textContent);
  if (!window.Plotly) return;
  let drawn = null;
  const show = () => {
    const {data, about, camera} = runs[choice.value];
    layout.scene.camera = camera;
    root.querySelector("p").textContent = about;
    plot.setAttribute("aria-label", about);
    drawn = Plotly.react(plot, data, layout, config);
  };
  const turn = (around, up) => drawn.then(() => {
    const {x, y, z} = plot._fullLayout.scene._scene.getCamera().eye;
    const angle = Math.atan2(y, x) + around * Math.PI / 12, far = Math.hypot(x, y);
    const eye = {x: far * Math.cos(angle), y: far * Math.sin(angle), z: Math.max(0, z + 0.3 * up)};
    return Plotly.relayout(plot, {"scene.camera.eye": eye});
  });
  choice.addEventListener("change", show);
  for (const button of root.querySelectorAll("button"))
    button.addEventListener("click", () => turn(...JSON.parse(button.dataset.turn)));
  show();
})();"""


def landscape_chooser(landscapes: Mapping[str, Landscape], name: str = "landscapes") -> str:
    """One surface that can be turned, by hand or by buttons, and a choice among landscapes, as HTML.

    The static twin is a grid of `plots.draw_landscape`; the page must have plotly.js, and the figure hides on paper.

    Args:
        landscapes: by the label that the choice shows.
        name: of the HTML element; give another one to a second chooser on a page.
    """
    figures = {label: landscape_figure(landscape) for label, landscape in landscapes.items()}
    runs = [
        {
            "data": figure.data,
            "about": f"Loss surface of {label}; {_extent(landscapes[label])}",
            "camera": figure.layout.scene.camera.to_plotly_json(),
        }
        for label, figure in figures.items()
    ]
    layout = next(iter(figures.values())).update_layout(template="none").layout.to_plotly_json()
    layout |= {"height": SURFACE_HEIGHT, "paper_bgcolor": "white", "font": {"color": plots.INK}, "uirevision": name}
    stored = json.dumps({"runs": runs, "layout": layout, "config": PLOTLY}, cls=PlotlyJSONEncoder)
    stored = stored.replace("</", "<\\/")  # nothing in it ends the script element
    options = "".join(f'<option value="{row}">{html.escape(label)}</option>' for row, label in enumerate(figures))
    buttons = "".join(
        f'<button type="button" data-turn="{list(turn)}" aria-label="{label}" title="{label}">{ARROWS[label]}</button>'
        for label, turn in TURNS.items()
    )
    return (
        f'<div class="qpatch-interactive qpatch-gallery"><div class="qpatch-controls">'
        f'<label for="{name}-run">Run</label> <select id="{name}-run">{options}</select> {buttons}</div>'
        f'<div class="plotly-graph-div" id="{name}" role="group" aria-label="{html.escape(runs[0]["about"])}"'
        f' style="height: {SURFACE_HEIGHT}px"></div><p aria-live="polite"></p>'
        f'<script type="application/json">{stored}</script><script>{SCRIPT}</script></div>'
    )


def _extent(landscape: Landscape) -> str:
    low, high = landscape.loss.min(), landscape.loss.max()
    return f"on the grid the loss runs from {low:.3g} to {high:.3g}"
