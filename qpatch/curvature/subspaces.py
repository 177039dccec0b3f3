"""Overlap of subspaces of parameter space: how far given directions lie in the span of some eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qpatch.curvature.products import to_array


@dataclass(frozen=True)
class Overlap:
    """How far the span of some vectors lies in a subspace.

    Attributes:
        cosines: of the principal angles, descending, ``(min(k, r),)``.
        share: mean squared length of the projections of the span's unit vectors onto the subspace, from 0 to 1 (to
            k / r where the span has more dimensions than the subspace).
        expected: of a random subspace, k / n.
        dimension: r, of the span: vectors that depend on the others add none.
    """

    cosines: np.ndarray
    share: float
    expected: float
    dimension: int


def subspace_overlap(basis: np.ndarray, vectors: np.ndarray) -> Overlap:
    """Principal angles (Bjorck & Golub, 1973) of a subspace, orthonormal columns ``(n, k)``, and a span ``(n, m)``.

    Raises:
        ValueError: different n, columns that are not orthonormal, or vectors that are all zero.
    """
    basis, vectors = to_array(basis), to_array(vectors)
    if basis.ndim != 2 or vectors.ndim != 2 or len(basis) != len(vectors):
        raise ValueError(f"columns of shapes {basis.shape} and {vectors.shape}; both need n rows")
    if np.abs(basis.T @ basis - np.eye(basis.shape[1])).max() > 1e-4:  # eigenvectors in float32 keep 1e-6
        raise ValueError("the subspace's columns are not orthonormal; take numpy.linalg.qr of them first")
    left, singular, _ = np.linalg.svd(vectors, full_matrices=False)
    rank = int((singular > singular[0] * max(vectors.shape) * np.finfo(np.float64).eps).sum())
    if not rank:
        raise ValueError("the vectors are all zero and span nothing")
    cosines = np.linalg.svd(basis.T @ left[:, :rank], compute_uv=False)
    size, k = basis.shape
    return Overlap(np.minimum(cosines, 1.0), float(np.sum(cosines**2) / rank), k / size, rank)
