"""Planes through parameter space (section 2.2): principal, random, spanned by given vectors, through any point.

A point is a flat vector of n parameters, a trajectory a matrix of points. Axes are always orthonormal, so coordinates
are distances in parameter units and planes can be compared.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from sklearn.decomposition import PCA

from qpatch.curvature.structure import Groups, partition

DEPENDENT = 1e-8  # sine of an angle below which rounding, not the vectors, would decide about the second axis


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane, and a trajectory projected on it where there is one; ValueError if it is none.

    Attributes:
        origin: the point with coordinates (0, 0), ``(n,)`` float64, finite.
        axes: two orthonormal directions, ``(2, n)`` float64.
        name: for titles and tables.
        trajectory: coordinates of the projected points, ``(points, 2)``; ``(0, 2)`` without a trajectory.
        ratios: share of the trajectory's variance along each axis, ``(2,)``; NaN without a trajectory.
    """

    origin: np.ndarray
    axes: np.ndarray
    name: str = "plane"
    trajectory: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    ratios: np.ndarray = field(default_factory=lambda: np.full(2, np.nan))

    def __post_init__(self):
        for name in ("origin", "axes"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        if self.origin.ndim != 1 or self.axes.shape != (2, len(self.origin)):
            raise ValueError(f"origin {self.origin.shape} and axes {self.axes.shape}; give (n,) and (2, n)")
        if not (np.isfinite(self.origin).all() and np.isfinite(self.axes).all()):
            raise ValueError(f"the plane {self.name!r} holds values that are not finite; drop what diverged")
        deviation = np.abs(self.axes @ self.axes.T - np.eye(2)).max()
        if deviation > DEPENDENT:
            raise ValueError(f"the axes are {deviation:.2g} away from orthonormal; make the plane by `spanned_plane`")

    def point(self, x: float, y: float) -> np.ndarray:
        """The parameter vector ``(n,)`` at coordinates (x, y)."""
        return self.origin + x * self.axes[0] + y * self.axes[1]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Coordinates ``(m, 2)`` of the projections of points ``(m, n)``."""
        return (points - self.origin) @ self.axes.T

    def distances(self, points: np.ndarray) -> np.ndarray:
        """How far points ``(m, n)`` lie off the plane, ``(m,)``."""
        return np.linalg.norm(points - self.origin - self.project(points) @ self.axes, axis=1)

    def with_trajectory(self, trajectory: np.ndarray) -> Plane:
        """The same plane with a trajectory ``(points, n)`` projected on it, and its `variance_ratios`."""
        trajectory = np.asarray(trajectory, np.float64)
        ratios = variance_ratios(self.axes, trajectory)
        return dataclasses.replace(self, trajectory=self.project(trajectory), ratios=ratios)

    def through(self, point: np.ndarray, name: str | None = None) -> Plane:
        """The parallel plane whose origin is a given point ``(n,)``; all but the trajectory's coordinates stays."""
        point = np.asarray(point, np.float64)
        moved = self.trajectory - self.project(point)
        return dataclasses.replace(self, origin=point, trajectory=moved, name=name or self.name)


def variance_ratios(axes: np.ndarray, trajectory: np.ndarray) -> np.ndarray:
    """Share of a trajectory's variance along each of two orthonormal directions, ``(2,)``.

    With points ``t_i``, ``(points, n)``, and their mean m: ``sum_i (u . (t_i - m))^2 / sum_i |t_i - m|^2`` for each
    axis u, ``(2, n)``. Together 1 for a trajectory that lies in the plane, about 2 / n for a random plane. Fewer than
    two points, points that are not finite, or all the same, are a ValueError.
    """
    axes, trajectory = np.asarray(axes, np.float64), np.asarray(trajectory, np.float64)
    if trajectory.ndim != 2 or len(trajectory) < 2 or trajectory.shape[1] != axes.shape[1]:
        raise ValueError(f"a trajectory of shape {trajectory.shape}; give two or more points of {axes.shape[1]} values")
    trajectory, _ = _scaled(trajectory)
    centred = trajectory - trajectory.mean(axis=0)
    total = np.sum(centred**2)
    # The mean is off by some eps of the coordinates; a spread of that size is rounding.
    if total <= trajectory.size * (np.finfo(np.float64).eps * np.abs(trajectory).max()) ** 2:
        raise ValueError(f"all {len(trajectory)} points of the trajectory are the same; it has no variance to share")
    return np.sum((centred @ axes.T) ** 2, axis=0) / total


def pca_plane(trajectory: np.ndarray, origin: int, name: str = "principal") -> Plane:
    """The plane of a trajectory's first two principal components, as in the paper (Fig. 3), after Li et al. (2018).

    The projection of row ``origin`` of the trajectory ``(points, n)`` becomes (0, 0). The plane goes through the
    trajectory's mean, so the point itself lies off it; `Plane.through` shifts it there. Fewer than three points, points
    that are not finite, or a trajectory that spans no plane, are a ValueError.
    """
    trajectory = np.asarray(trajectory, np.float64)
    if trajectory.ndim != 2 or min(trajectory.shape) < 2 or len(trajectory) < 3:
        raise ValueError(f"a plane needs three or more points of two or more parameters, not shape {trajectory.shape}")
    trajectory, unit = _scaled(trajectory)
    pca = PCA(n_components=2, svd_solver="full")  # the automatic choice would be a randomised one
    coordinates = pca.fit_transform(trajectory)
    largest, second = pca.singular_values_
    # Rounding alone leaves singular values of this size, and a direction that means nothing.
    if second <= largest * np.finfo(np.float64).eps * max(trajectory.shape):
        raise ValueError("the trajectory's points lie on one line or point; it spans no plane")
    start = coordinates[origin]
    return Plane(
        origin=unit * (pca.mean_ + start @ pca.components_),
        axes=pca.components_,
        name=name,
        trajectory=unit * (coordinates - start),
        ratios=pca.explained_variance_ratio_,
    )


def spanned_plane(origin: np.ndarray, first: np.ndarray, second: np.ndarray, name: str = "spanned") -> Plane:
    """The plane through a point along two vectors ``(n,)``, such as the two top eigenvectors.

    The first axis is the first vector's direction, the second what is left of the second vector across it. A vector of
    zeros, or two that point along the same line, are a ValueError.
    """
    axes = _orthonormal(np.asarray(first, np.float64), np.asarray(second, np.float64))
    return Plane(np.asarray(origin, np.float64), axes, name)


def random_plane(origin: np.ndarray, seed: int = 0, groups: Groups | None = None, name: str = "random") -> Plane:
    """A plane of two random directions through a point, uniform, or normalised by group (Li et al., 2018).

    Given a partition of the parameters, such as `qnn_groups`, each direction is normalised (`normalise_by_group`) at
    the origin ``(n,)``. The second is first made orthogonal to the first within each group, so that the two are
    orthonormal and the norms of the groups' parts exact. A group of zeros gets no part. One parameter, a group of one,
    groups that are no partition, or an origin of zeros, are a ValueError.
    """
    origin = np.asarray(origin, np.float64)
    if origin.ndim != 1 or len(origin) < 2:
        raise ValueError(f"the origin has shape {origin.shape}; a plane takes a vector of two or more parameters")
    drawn = np.random.default_rng(seed).normal(size=(2, len(origin)))
    if groups is None:
        return Plane(origin, _orthonormal(*drawn), name)
    for group, chosen in partition(groups, len(origin)).items():
        if len(chosen) < 2 and origin[chosen].any():
            raise ValueError(f"group {group!r} of one parameter has no two orthogonal directions; join it to another")
        drawn[:, chosen] = _orthonormal(*drawn[:, chosen]) if len(chosen) > 1 else 0.0
    return Plane(origin, np.stack([normalise_by_group(row, origin, groups) for row in drawn]), name)


def normalise_by_group(direction: np.ndarray, point: np.ndarray, groups: Groups) -> np.ndarray:
    """A unit vector ``(n,)`` along a direction whose groups' parts are as long, in proportion, as those of a point.

    ``d_a / |d_a| |theta_a| / |theta|`` for each group a of a direction d and a point theta (Li et al., 2018, whose
    groups are a network's filters and who leave out the last factor). A point of zeros, or a direction without a part
    in a group that is not zero at the point, is a ValueError.
    """
    direction, point = np.asarray(direction, np.float64), np.asarray(point, np.float64)
    length, scaled = np.linalg.norm(point), np.zeros_like(direction)
    if not length:
        raise ValueError("all parameters are 0 at the point; their norms cannot scale a direction: use groups=None")
    for group, chosen in partition(groups, len(point)).items():
        part, wanted = np.linalg.norm(direction[chosen]), np.linalg.norm(point[chosen]) / length
        if wanted and not part:
            raise ValueError(f"the direction is 0 in group {group!r}, whose parameters are not; draw another direction")
        if wanted:
            scaled[chosen] = direction[chosen] * (wanted / part)
    return scaled


def _orthonormal(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Gram-Schmidt of two vectors, twice for the sake of rounding: ``(2, n)``."""
    norms = np.linalg.norm(first), np.linalg.norm(second)
    for which, norm in zip(("first", "second"), norms, strict=True):
        if not 0 < norm < np.inf:
            raise ValueError(f"the {which} vector has norm {norm:g}; a direction needs one that is positive and finite")
    along, across = first / norms[0], second / norms[1]
    across = across - (along @ across) * along
    sine = np.linalg.norm(across)
    if sine < DEPENDENT:
        raise ValueError(
            f"the two vectors point along one line (sine of their angle {sine:.1g}) and span no plane; give two"
            f" different directions"
        )
    across = across / sine
    across = across - (along @ across) * along
    return np.stack([along, across / np.linalg.norm(across)])


def _scaled(trajectory: np.ndarray) -> tuple[np.ndarray, float]:
    """A trajectory, and its unit: another than 1 where squares of its numbers would leave the range of float64."""
    largest = np.abs(trajectory).max()
    if not np.isfinite(largest):
        raise ValueError("the trajectory holds values that are not finite; drop the diverged epochs")
    unit = 1.0 if largest == 0 or 1e-100 < largest < 1e100 else largest
    return trajectory / unit, unit
