"""Losses on a plane's grid (section 2.2, Fig. 3, Table 4): which points, what they cost, and the losses row by row.

Nothing here knows the QNN: a loss takes a flat parameter vector and returns a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from qpatch.landscape.planes import Plane

CONTOUR_STEP = 0.5  # of the loss, between neighbouring contours of Fig. 3
PointLoss = Callable[[np.ndarray], float]
TIMED = 2  # evaluations before the estimate of the time: the first one may compile


def grid_axes(plane: Plane, n_points: int = 20, margin: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a grid that spans the projected trajectory plus a margin (parameter units) on each side.

    A plane without a trajectory has its origin in the middle.

    Raises:
        ValueError: fewer than two points an axis, a margin that is negative or not finite, or nothing to span.
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
    """Losses on the grid, ``(len(y), len(x))``.

    Args:
        loss: of a parameter vector ``(n,)``.
        plane: the plane.
        x, y: coordinates of the columns and rows.
        done: rows computed before, ``(rows, len(x))``: the grid goes on after them.
        on_row: called with all finished rows after each row, so that they can be kept.
        progress: show a progress bar, and after the first points the time that the grid will take.

    Raises:
        FloatingPointError: a loss is not finite; the rows before it have been handed to ``on_row``.
    """
    rows = [] if done is None else list(done)
    watched = Watched(loss, len(x) * (len(y) - len(rows)), progress)
    for row in tqdm(y[len(rows) :], disable=not progress, unit="row", leave=False):
        rows.append(
            np.array([watched(plane.point(column, row), f"({column:.4g}, {row:.4g}) of the grid") for column in x])
        )
        if on_row is not None:
            on_row(np.stack(rows))
    return np.stack(rows)


@dataclass(frozen=True)
class Forecast:
    """What a number of evaluations will take; as text, a sentence.

    Attributes:
        evaluations: how many are to be done.
        seconds_each: the time of one.
    """

    evaluations: int
    seconds_each: float

    @property
    def seconds(self) -> float:
        """The time of all."""
        return self.evaluations * self.seconds_each

    def __str__(self) -> str:
        units = ((3600, "h"), (60, "min"), (1, "s"))
        size, unit = next(((size, unit) for size, unit in units if self.seconds >= 2 * size), (1, "s"))
        return f"{self.evaluations:,} losses of {self.seconds_each:.2g} s: about {self.seconds / size:.2g} {unit}"


def forecast(loss: PointLoss, point: np.ndarray, evaluations: int) -> Forecast:
    """How long evaluations will take, from two of them; the first, which may compile, is not counted.

    Raises:
        FloatingPointError: the loss is not finite.
    """
    watched = Watched(loss, evaluations)
    for _ in range(TIMED):
        watched(point, "the point that is timed")
    return Forecast(evaluations, watched.seconds)


class Watched:
    """A loss that refuses values that are not finite, times itself, and tells what the rest will take.

    Attributes:
        count: evaluations so far.
        seconds: the time of the last one.
    """

    def __init__(self, loss: PointLoss, evaluations: int, announce: bool = False):
        self.loss, self.evaluations, self.announce = loss, evaluations, announce
        self.count, self.seconds = 0, 0.0

    def __call__(self, point: np.ndarray, where: str) -> float:
        """The loss at a point ``(n,)``; ``where`` names it in the message of an error."""
        began = time.perf_counter()
        value = float(self.loss(point))
        self.seconds = time.perf_counter() - began
        self.count += 1
        if not np.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} at {where}; check the model there, or stay nearer the minimum"
            )
        if self.announce and self.count == TIMED < self.evaluations:
            tqdm.write(str(Forecast(self.evaluations - self.count, self.seconds)))
        return value


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
