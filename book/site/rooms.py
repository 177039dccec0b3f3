"""A drawing of the package for maintainers: its rooms, floor by floor, and the way of one run through them."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from book.show.plots import INK, START_COLOR

# From the top floor down, as the contract in pyproject.toml has them; each imports only from floors below it.
FLOORS = (
    ("cli",),
    ("study",),
    ("runs",),
    ("landscape",),
    ("curvature",),
    ("model",),
    ("engine",),
    ("data",),
    ("config", "idx"),
    ("files", "ansatz"),
)
DOES = {
    "cli": "the command qpatch",
    "study": "all runs beside the paper",
    "runs": "one run and its stages",
    "landscape": "planes, grids, lines of any loss",
    "curvature": "spectra of any symmetric product",
    "model": "patches, QNNs, training",
    "engine": "statevectors, exactly and fast",
    "data": "digits, batches",
    "config": "every choice of a run",
    "idx": "IDX files, as people have them",
    "files": "atomic writes",
    "ansatz": "the circuit",
}
# The way of `qpatch run`, from the command to the tables: the room where each step happens.
WAY = ("cli", "runs", "data", "model", "engine", "curvature", "landscape", "runs", "study")
WIDTH, HEIGHT = 4.0, 0.62


def draw_rooms(ax: Axes) -> Axes:
    """The rooms as boxes, the lowest floor at the bottom; numbers in red are the steps of `WAY`."""
    for floor, rooms in enumerate(reversed(FLOORS)):
        for place, room in enumerate(rooms):
            left = (place - len(rooms) / 2) * (WIDTH + 0.3) + 0.15
            box = FancyBboxPatch((left, floor), WIDTH, HEIGHT, boxstyle="round,pad=0.02", fc="#EEF3F8", ec="#777777")
            ax.add_patch(box)
            ax.text(left + 0.12, floor + 0.4, room, weight="bold", fontsize=9, va="center", color=INK)
            ax.text(left + 0.12, floor + 0.16, DOES[room], fontsize=7, va="center", color=INK)
            steps = [str(number) for number, name in enumerate(WAY, start=1) if name == room]
            style = {"color": START_COLOR, "fontsize": 9, "weight": "bold", "ha": "right", "va": "center"}
            ax.text(left + WIDTH - 0.12, floor + 0.4, ", ".join(steps), **style)
    ax.set(xlim=(-WIDTH - 0.5, WIDTH + 0.5), ylim=(-0.2, len(FLOORS)))
    ax.axis("off")
    return ax
