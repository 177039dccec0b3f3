"""Loss landscapes on the principal plane of a trajectory (section 2.2, Fig. 3, Table 4), after Li et al. (2018).

Nothing here knows the QNN: a trajectory is a matrix of parameter vectors, a loss takes one such vector.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA
from tqdm import tqdm


@dataclass(frozen=True)
class Plane:
    """The plane of a trajectory's first two principal components, with one of its points as origin of coordinates.

    Attributes:
        origin: the point of the plane with coordinates (0, 0): the chosen point's projection, ``(n,)``. The plane goes
            through the trajectory's mean, so the chosen point itself lies off it.
        mean: of the trajectory, ``(n,)``.
        axes: the components, orthonormal, ``(2, n)``.
        ratios: share of the trajectory's variance along each axis, ``(2,)``.
        trajectory: projected, relative to the origin, in parameter units, ``(points, 2)``.
    """

    origin: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    ratios: np.ndarray
    trajectory: np.ndarray

    def point(self, x: float, y: float) -> np.ndarray:
        """The parameter vector ``(n,)`` at coordinates (x, y)."""
        return self.origin + x * self.axes[0] + y * self.axes[1]


def pca_plane(trajectory: np.ndarray, origin: int) -> Plane:
    """Principal plane of a trajectory ``(points, n)``; ``origin`` is the row whose projection becomes (0, 0).

    Raises:
        ValueError: fewer than three points, points that are not finite, or a trajectory that spans no plane.
    """
    if trajectory.ndim != 2 or min(trajectory.shape) < 2 or len(trajectory) < 3:
        raise ValueError(f"a plane needs three or more points of two or more parameters, not shape {trajectory.shape}")
    if not np.isfinite(trajectory).all():
        raise ValueError("the trajectory holds values that are not finite; drop the diverged epochs")
    pca = PCA(n_components=2, svd_solver="full")  # the automatic choice would be a randomised one
    coordinates = pca.fit_transform(trajectory.astype(np.float64))
    largest, second = pca.singular_values_
    # Rounding alone leaves singular values of this size, and a direction that means nothing.
    if second <= largest * np.finfo(np.float64).eps * max(trajectory.shape):
        raise ValueError("the trajectory's points lie on one line or point; it spans no plane")
    start = coordinates[origin]
    return Plane(
        origin=pca.mean_ + start @ pca.components_,
        mean=pca.mean_,
        axes=pca.components_,
        ratios=pca.explained_variance_ratio_,
        trajectory=coordinates - start,
    )


def grid_axes(plane: Plane, n_points: int = 20, margin: float = 5.0) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a grid that spans the projected trajectory plus a margin (parameter units) on each side.

    Raises:
        ValueError: fewer than two points an axis, or a margin that is negative or not finite.
    """
    if n_points < 2 or not 0 <= margin < np.inf:
        raise ValueError(
            f"a grid of {n_points} points an axis with margin {margin} spans nothing; take two or more points (the"
            f" paper's 20) and a finite margin of 0 or more (the paper's 5)"
        )
    low, high = plane.trajectory.min(axis=0) - margin, plane.trajectory.max(axis=0) + margin
    return np.linspace(low[0], high[0], n_points), np.linspace(low[1], high[1], n_points)


def evaluate_grid(
    loss: Callable[[np.ndarray], float],
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
        progress: show a progress bar.
    """
    rows = [] if done is None else list(done)
    remaining = tqdm(y[len(rows) :], disable=not progress, unit="row", leave=False)
    for row in remaining:
        rows.append(np.array([loss(plane.point(column, row)) for column in x]))
        if on_row is not None:
            on_row(np.stack(rows))
    return np.stack(rows)
