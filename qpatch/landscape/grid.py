"""Losses on a plane's grid (section 2.2, Fig. 3, Table 4): which points, what they cost, and the losses row by row."""

import time
from collections.abc import Callable

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from qpatch.landscape.planes import Plane

CONTOUR_STEP = 0.5  # of the loss, between neighbouring contours of Fig. 3
PointLoss = Callable[[np.ndarray], float]


def grid_axes(plane: Plane, n_points: int = 20, margin: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a grid that spans the projected trajectory plus a margin (parameter units) on each side.

    A plane without a trajectory has its origin in the middle. ValueError where there is nothing to span.
    """
    path = plane.trajectory if len(plane.trajectory) else np.zeros((1, 2))
    low, high = path.min(axis=0) - margin, path.max(axis=0) + margin
    if n_points < 2 or not 0 <= margin < np.inf or not (low < high).all():
        raise ValueError(
            f"a grid of {n_points} points an axis with margin {margin} spans nothing; take two or more points (the"
            f" paper's 20) and a finite margin of 0 or more (the paper's 5), above 0 where there is no trajectory"
        )
    return np.linspace(low[0], high[0], n_points), np.linspace(low[1], high[1], n_points)


def evaluate_grid(
    loss: PointLoss,
    plane: Plane,
    x: np.ndarray,
    y: np.ndarray,
    done: np.ndarray | None = None,
    on_row: Callable[[np.ndarray], None] | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Losses ``(len(y), len(x))`` on a plane's grid, of columns at the coordinates x and rows at y.

    Args:
        loss: of a parameter vector ``(n,)``; FloatingPointError where it is not finite.
        done: rows computed before, ``(rows, len(x))``: the grid goes on after them.
        on_row: called with all finished rows after each row, so that they can be kept.
        progress: show a progress bar over the points.
    """
    rows = [] if done is None else list(done)
    bar = tqdm(total=len(x) * len(y), initial=len(x) * len(rows), disable=not progress, unit="loss", leave=False)
    with bar:
        for row in y[len(rows) :]:
            values = []
            for column in x:
                values.append(finite_loss(loss, plane.point(column, row), f"({column:.4g}, {row:.4g}) of the grid"))
                bar.update()
            rows.append(np.array(values))
            if on_row is not None:
                on_row(np.stack(rows))
    return np.stack(rows)


def finite_loss(loss: PointLoss, point: np.ndarray, where: str) -> float:
    """The loss at a point ``(n,)``; where that is not finite, a FloatingPointError says ``where`` it is."""
    value = float(loss(point))
    if not np.isfinite(value):
        raise FloatingPointError(f"the loss is {value} at {where}; check the model there, or stay nearer the minimum")
    return value


def forecast(loss: PointLoss, point: np.ndarray, evaluations: int) -> str:
    """A sentence on how long evaluations will take, from two of them; the first, which may compile, is not counted."""
    for _ in range(2):
        began = time.perf_counter()
        finite_loss(loss, point, "the point that is timed")
    each = time.perf_counter() - began
    seconds, units = evaluations * each, ((3600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in units if seconds >= size), (1, "s"))
    return f"{evaluations:,} losses of {each:.2g} s: about {seconds / size:.2g} {unit}"


def count_basins(loss: np.ndarray, depth: float = CONTOUR_STEP) -> int:
    """Basins of a grid of losses ``(rows, columns)``: minima from which every way to a lower point climbs by ``depth``.

    Shallower dips belong to the basin that they open into (topographic prominence); the lowest point always has one.
    Neighbours are the eight around a point, fewer at the rim.
    """
    basins = set()
    for place, value in np.ndenumerate(loss):
        parts, _ = ndimage.label(loss < value + depth, np.ones((3, 3)))
        inside = np.where(parts == parts[place], loss, np.inf)
        if inside.min() == value:
            basins.add(int(inside.argmin()))
    return len(basins)
