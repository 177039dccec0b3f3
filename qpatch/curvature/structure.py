"""How a symmetric matrix and its eigenvectors are spread over groups of parameters, parts of a sum, and subspaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from qpatch.curvature.products import CountedProduct, Operator, Product, to_array
from qpatch.curvature.spectrum import extreme_eigenpairs

Groups = Mapping[str, slice | Sequence[int] | np.ndarray]


def partition(groups: Groups, size: int) -> dict[str, np.ndarray]:
    """The indices of each group; ValueError unless the groups are a partition: every parameter in one of them, once."""
    indices = {}
    for name, group in groups.items():
        chosen = np.arange(size)[group] if isinstance(group, slice) else np.asarray(group, dtype=np.int64)
        if not chosen.size or chosen.min() < 0 or chosen.max() >= size:
            raise ValueError(f"group {name!r} is empty or leaves the {size} parameters")
        indices[name] = chosen
    times = np.bincount(np.concatenate([*indices.values(), np.empty(0, np.int64)]), minlength=size)
    if (times != 1).any():
        wrong = np.flatnonzero(times != 1)
        raise ValueError(
            f"{len(wrong)} parameters are not in exactly one group, the first is {wrong[0]} (in {times[wrong[0]]})"
        )
    return indices


def block_product(product: Operator, indices: np.ndarray) -> Product:
    """The diagonal block of these parameters, ``(b, b)``, as a product of its own."""
    chosen = torch.as_tensor(np.asarray(indices), device=product.device)
    zeros = torch.zeros(product.shape[0], dtype=product.dtype, device=product.device)

    def block(vector: torch.Tensor) -> torch.Tensor:
        full = zeros.clone()
        full[chosen] = vector
        return (product @ full)[chosen]

    return Product(block, zeros[chosen])


@dataclass(frozen=True)
class Interactions:
    """A quadratic form ``v' H v`` split over pairs of groups, and the cost in products.

    ``matrix`` ``(g, g)`` holds ``v_a' H v_b``, with v_a the vector's part in group a; its entries sum to ``total``.
    """

    matrix: np.ndarray
    products: int

    @property
    def total(self) -> float:
        return float(self.matrix.sum())

    @property
    def within(self) -> float:
        """Share of ``v' H v`` that the diagonal blocks carry; it may exceed 1 where cross-blocks are negative."""
        return float(np.trace(self.matrix) / self.total)


def interactions(product: Operator, vector: np.ndarray, groups: Groups) -> Interactions:
    """How much of ``v' H v`` comes from each pair of groups of a `partition`, one product a group."""
    counted, vector = CountedProduct(product), to_array(vector)
    parts = partition(groups, counted.size)
    masked = np.zeros((len(parts), counted.size))
    for row, chosen in zip(masked, parts.values(), strict=True):
        row[chosen] = vector[chosen]
    matrix = np.stack([counted(row) for row in masked]) @ masked.T
    return Interactions((matrix + matrix.T) / 2, counted.count)


def largest_of_blocks(
    product: Operator, groups: Groups, names: Sequence[str], tolerance: float = 1e-6, seed: int = 0
) -> tuple[dict[str, float], int]:
    """The largest eigenvalue of each named diagonal block, and what all of them cost: `extreme_eigenpairs` of each."""
    parts = partition(groups, product.shape[0])
    blocks = {name: block_product(product, parts[name]) for name in names}
    found = {name: extreme_eigenpairs(block, 1, 0, tolerance, seed=seed) for name, block in blocks.items()}
    values = {name: float(pairs.largest[0]) for name, pairs in found.items()}
    return values, sum(pairs.products for pairs in found.values())


def participation(vector: np.ndarray, groups: Groups) -> np.ndarray:
    """Share of each group of a `partition` in a vector, ``|v_a|^2 / |v|^2``, ``(g,)``; ValueError for one of zeros."""
    vector = to_array(vector)
    if not vector.any():
        raise ValueError("no group takes part in a vector of zeros")
    squares = np.array([np.sum(vector[chosen] ** 2) for chosen in partition(groups, len(vector)).values()])
    return squares / squares.sum()


def rayleigh(product: Operator, vector: np.ndarray) -> float:
    """The Rayleigh quotient ``v' H v / v' v``, one product."""
    vector = to_array(vector)
    return float(vector @ CountedProduct(product)(vector) / (vector @ vector))


def explained(part: Operator, whole: Operator, vector: np.ndarray) -> float:
    """What share of H's curvature along a vector a part G has, ``v' G v / v' H v``; two products."""
    return rayleigh(part, vector) / rayleigh(whole, vector)


@dataclass(frozen=True)
class Overlap:
    """How far the span of some vectors lies in a subspace of dimension k.

    Attributes:
        cosines: of the principal angles, descending, ``(min(k, r),)``.
        share: mean squared length of the projections of the span's unit vectors onto the subspace, 0 to min(1, k / r).
        expected: of a random subspace, k / n.
        dimension: r, of the span: vectors that depend on the others add none.
    """

    cosines: np.ndarray
    share: float
    expected: float
    dimension: int


def subspace_overlap(basis: np.ndarray, vectors: np.ndarray) -> Overlap:
    """Principal angles (Bjorck & Golub, 1973) of a subspace, orthonormal columns ``(n, k)``, and a span ``(n, m)``.

    ValueError for different n, columns that are not orthonormal, or vectors that are all zero.
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
