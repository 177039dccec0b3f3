"""Both ends of the spectrum of a symmetric product, with eigenvectors and residuals, and the trace.

Eigenpairs are ARPACK's implicitly restarted Lanczos method (Lehoucq, Sorensen & Yang, 1998) through SciPy's `eigsh`.
Where more than one is asked for at an end, further copies that it cannot see are searched for: see `missed`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from qpatch.curvature.missed import End, missed_vectors
from qpatch.curvature.products import ConvergenceError, CountedProduct, Estimate, Operator

SHIFT = 4  # times the estimated magnitude
ALWAYS_DENSE = 50  # parameters


@dataclass(frozen=True)
class Eigenpairs:
    """The algebraically largest and smallest eigenvalues, with eigenvectors.

    Attributes:
        largest, smallest: descending ``(k,)`` and ascending ``(l,)``.
        largest_vectors, smallest_vectors: orthonormal columns, ``(n, k)`` and ``(n, l)``, largest entries positive.
        largest_residuals, smallest_residuals: ``||H v - lambda v||`` of each over the largest |lambda| found: an
            eigenvalue lies that near.
        products: the cost in Hessian-vector products.
        dense: whether the whole matrix was built, as small problems are, instead of iterating.
    """

    largest: np.ndarray
    largest_vectors: np.ndarray
    largest_residuals: np.ndarray
    smallest: np.ndarray
    smallest_vectors: np.ndarray
    smallest_residuals: np.ndarray
    products: int
    dense: bool


def extreme_eigenpairs(
    product: Operator,
    k: int = 10,
    smallest: int | None = None,
    tolerance: float = 1e-6,
    max_products: int = 2000,
    seed: int = 0,
) -> Eigenpairs:
    """The k algebraically largest eigenpairs and as many (or ``smallest``) of the smallest.

    Outliers cost few products, eigenvalues at the edge of a dense bulk many: at a minimum the smallest ones cost some
    ten times as many as the largest. The iteration runs in float64 around a product of any precision; residuals are
    taken afresh from the final vectors, so they include the product's own rounding.

    Several copies of an eigenvalue are searched for by a further iteration, until none is left with a probability of
    99 %, or for as many products as the first took. Where outliers lie above a bulk that is 10 to 35 products, for
    several at the edge of a dense bulk up to a half more, for a single one at an end none.

    Args:
        product: the matrix.
        k, smallest: how many of each, from 1 and from 0 (None for k) to n; ValueError for others.
        tolerance: error of an eigenvector's image relative to the largest magnitude of an eigenvalue.
        max_products: at each end, about; ConvergenceError where they do not suffice.
        seed: of the random vectors.
    """
    counted = CountedProduct(product)
    smallest = k if smallest is None else smallest
    if k < 1 or smallest < 0:
        raise ValueError(f"k is {k} and smallest {smallest}; ask for one or more largest and no negative number")
    if (most := max(k, smallest)) > counted.size:
        raise ValueError(f"{most} eigenvalues of a loss of {counted.size} parameters; ask for at most {counted.size}")
    dense = counted.size <= max(ALWAYS_DENSE, 3 * (k + smallest))
    if dense:
        matrix = counted.dense()
        values, vectors = np.linalg.eigh(matrix)
        images = matrix @ vectors
    else:
        values, vectors, images = _iterate(counted, k, smallest, tolerance, max_products, seed)
    vectors, images = _fix_signs(vectors, images)
    scale = np.abs(values).max() or 1.0
    residuals = np.linalg.norm(images - values * vectors, axis=0) / scale
    top, bottom = slice(None, -k - 1, -1), slice(0, smallest)
    return Eigenpairs(
        *(values[top], vectors[:, top], residuals[top]),
        *(values[bottom], vectors[:, bottom], residuals[bottom]),
        products=counted.count,
        dense=dense,
    )


def _iterate(counted, k, smallest, tolerance, max_products, seed):
    """Eigenvalues ascending, the smallest ones and then the k largest, their vectors and the images of these."""
    generator = np.random.default_rng(seed)
    magnitude = _magnitude(counted, generator.standard_normal(counted.size))
    if magnitude == 0:  # it maps a random vector to zero, so it is zero
        return np.zeros(k + smallest), np.eye(counted.size, k + smallest), np.zeros((counted.size, k + smallest))
    start = generator.standard_normal(counted.size)
    # One run for both ends ("BE") costs less than two, but takes as many from each.
    runs = [("BE", k, k)] if smallest == k else [("SA", smallest, 0), ("LA", 0, k)]
    parts = []
    for which, below, above in runs if smallest else runs[1:]:
        before = counted.count
        vectors = _arpack(counted, which, below + above, magnitude, start, tolerance, max_products)
        values, vectors, images = _rotated(vectors, np.stack([counted(vector) for vector in vectors.T], axis=1))
        spent, slack = counted.count - before, tolerance * magnitude
        while ends := _several(values, below, above, slack):
            fresh = generator.standard_normal(counted.size)
            more = missed_vectors(counted, vectors, ends, fresh, spent, max_products, magnitude)
            if not more.size:
                break
            images = np.concatenate([images, np.stack([counted(vector) for vector in more.T], axis=1)], axis=1)
            values, vectors, images = _rotated(np.concatenate([vectors, more], axis=1), images)
        chosen = [*range(below), *range(len(values) - above, len(values))]
        parts.append((values[chosen], vectors[:, chosen], images[:, chosen]))
    return [np.concatenate(part, axis=-1) for part in zip(*parts, strict=True)]


def _several(values: np.ndarray, below: int, above: int, slack: float) -> list[End]:
    """The ends of ascending eigenvalues where copies may be missing: a single one at an end is it, however often."""
    ends = [End(1.0, values[-above:], slack)] if above > 1 else []
    return ends + ([End(-1.0, -values[:below], slack)] if below > 1 else [])


def _rotated(vectors: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The Ritz values ascending, vectors and images of the span of orthonormal columns (Rayleigh-Ritz)."""
    matrix = vectors.T @ images
    values, rotation = np.linalg.eigh((matrix + matrix.T) / 2)
    return values, vectors @ rotation, images @ rotation


def _arpack(counted, which, wanted, magnitude, start, tolerance, max_products) -> np.ndarray:
    """Eigenvectors as ARPACK finds them from one start."""
    # ARPACK's tolerance is relative to each eigenvalue, so one near zero would never converge. A shift well beyond the
    # spectrum makes all of them about as large, and the tolerance relative to the shift.
    shift = SHIFT * magnitude

    def shifted(vector):
        return counted(vector.ravel()) + shift * vector.ravel()

    operator = LinearOperator((counted.size, counted.size), shifted, dtype=np.float64)
    n_vectors = min(counted.size, max(3 * wanted, 20))
    options = {"ncv": n_vectors, "tol": tolerance / (SHIFT + 1), "v0": start}
    options["maxiter"] = max(1, max_products // (n_vectors - wanted))  # restarts
    try:
        return eigsh(operator, wanted, which=which, **options)[1]
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            f"{len(error.eigenvalues)} of {wanted} eigenvalues converged to {tolerance:g} within {counted.count}"
            f" products; raise max_products ({max_products}) or the tolerance, or ask for fewer eigenvalues"
        ) from error


def _magnitude(counted: CountedProduct, start: np.ndarray, n_products: int = 5) -> float:
    """About the largest magnitude of an eigenvalue, by a few power iterations, which show a lack of symmetry too."""
    vector, norms, previous = start / np.linalg.norm(start), [], None
    for _ in range(n_products):
        image = counted(vector)
        norms.append(np.linalg.norm(image))
        if norms[-1] == 0:
            break
        if previous is not None:  # v' H (H v) = |H v|^2 for a symmetric H
            counted.check_symmetry(abs(previous @ image - norms[-2]), max(norms))
        previous, vector = vector, image / norms[-1]
    return max(norms)


def _fix_signs(vectors: np.ndarray, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    leading = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[leading, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    return vectors * signs, images * signs


def trace(product: Operator, products: int = 60, seed: int = 0) -> Estimate:
    """The trace by Hutch++ (Meyer, Musco, Musco & Woodruff, 2021), with its standard error.

    A third of the products finds a subspace Q that holds most of the matrix, a third takes the trace there exactly, the
    rest samples what remains with N random signs g:
    ``tr H = tr Q'HQ + mean of g'(1 - QQ') H (1 - QQ')g``. The error is that of the mean; Q adds none. With as many
    products as parameters or more, the n diagonal entries are added instead, exactly. Fewer than six are a ValueError.
    """
    counted = CountedProduct(product)
    if products < 6:
        raise ValueError(f"products is {products}; Hutch++ with a standard error takes six or more")
    if products >= counted.size:
        total = sum(counted(unit) @ unit for unit in np.eye(counted.size))
        return Estimate(float(total), 0.0, counted.count)
    n_samples = products // 3
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(2 * n_samples, counted.size))
    sketch = np.stack([counted(row) for row in signs[:n_samples]], axis=1)  # (n, N)
    basis, _ = np.linalg.qr(sketch)
    captured = sum(counted(column) @ column for column in basis.T)
    rest = signs[n_samples:] - (signs[n_samples:] @ basis) @ basis.T  # (N, n)
    samples = captured + np.array([row @ counted(row) for row in rest])
    error = samples.std(ddof=1) / n_samples**0.5
    return Estimate(float(samples.mean()), float(error), counted.count)
