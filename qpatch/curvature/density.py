"""The whole spectrum of a symmetric product as a density, by stochastic Lanczos quadrature.

From a random unit vector v, m Lanczos steps give the m-point Gauss quadrature of the spectral measure
``sum_i (u_i . v)^2 delta(lambda - lambda_i)``; averaged over probes v it is the density ``(1/n) sum_i delta(lambda -
lambda_i)`` (Ubaru, Chen & Saad, 2017; Ghorbani, Krishnan & Xiao, 2019). Nodes and weights are kept as they are, a set
per probe; nothing is smoothed.

Standard errors come from theory, since the spread of two or three probes would tell little: for random signs v, scaled
to norm 1, and a matrix A with eigenvalues a, ``v'Av`` has the mean ``mean(a)`` and at most the variance
``2 (mean(a^2) - mean(a)^2) / n``. Both means are in the quadrature.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

from qpatch.curvature.products import CountedProduct, Estimate, Operator
from qpatch.curvature.recurrence import lanczos_steps


@dataclass(frozen=True)
class Ritz:
    """Eigenvalues of the tridiagonal matrix of one Lanczos run: the nodes and weights of a Gauss quadrature.

    Attributes:
        values: ascending, ``(m,)``. Not every one is an eigenvalue: see the residuals.
        weights: squared overlaps with the start vector, ``(m,)``; they sum to 1.
        residuals: ``||H y - theta y||`` of each Ritz pair, ``(m,)``: an eigenvalue lies that near.
        complete: whether the run spanned all that its start vector reaches, so that values and weights are exact.
        products: the cost in Hessian-vector products.
    """

    values: np.ndarray
    weights: np.ndarray
    residuals: np.ndarray
    complete: bool
    products: int


def lanczos(product: Operator, steps: int, start: np.ndarray) -> Ritz:
    """Lanczos (`lanczos_steps`) from a start vector ``(n,)``; ValueError for no step, or a vector of zeros."""
    counted = CountedProduct(product)
    start = np.asarray(start, np.float64)
    if steps < 1 or start.shape != (counted.size,) or not start.any():
        raise ValueError(f"{steps} steps from a start vector {start.shape}; take one or more, from a nonzero (n,)")
    *_, (_, diagonal, beside) = lanczos_steps(counted, start, steps)
    values, vectors = eigh_tridiagonal(diagonal, beside[:-1])
    residuals = np.abs(beside[-1] * vectors[-1])
    return Ritz(values, vectors[0] ** 2, residuals, bool(beside[-1] == 0), counted.count)


@dataclass(frozen=True)
class SpectralDensity:
    """Stochastic Lanczos quadrature of a spectrum of n eigenvalues: one Gauss quadrature a probe, and the cost."""

    probes: tuple[Ritz, ...]
    size: int
    products: int

    @property
    def resolution(self) -> float:
        """Width of the spectrum over the number of steps m: a much narrower bin shows nodes, not spectrum.

        The steps place spectral mass to within O(width / m) (in the Wasserstein distance: Chen, Trogdon & Ubaru, 2021).
        """
        width = max(probe.values[-1] for probe in self.probes) - min(probe.values[0] for probe in self.probes)
        return float(width / max(len(probe.values) for probe in self.probes))

    def moment(self, power: int) -> Estimate:
        """``(1/n) tr H^power``: on average exact for powers up to 2 m - 1 of m steps, and its error up to m - 1."""
        value, square = (np.mean([run.weights @ run.values**p for run in self.probes]) for p in (power, 2 * power))
        return Estimate(float(value), float(self._error(value, square)), self.products)

    def _error(self, value: np.ndarray, square: np.ndarray) -> np.ndarray:
        """Standard error of the probes' mean of a function of the eigenvalues, from that of its square."""
        return np.sqrt(2 * np.maximum(square - value**2, 0.0) / (self.size * len(self.probes)))


def spectral_density(product: Operator, steps: int = 80, probes: int = 2, seed: int = 0) -> SpectralDensity:
    """Spectral density by one or more Lanczos runs from random signs; errors fall with the root of their number."""
    if probes < 1:
        raise ValueError(f"{probes} probes; take one or more")
    size = product.shape[0]
    starts = np.random.default_rng(seed).choice([-1.0, 1.0], size=(probes, size))
    runs = tuple(lanczos(product, steps, start) for start in starts)
    return SpectralDensity(runs, size, sum(run.products for run in runs))


@dataclass(frozen=True)
class Histogram:
    """Numbers of eigenvalues ``(b,)`` in bins with edges ``(b + 1,)``: the probes' mean of n times the weights there.

    The standard error is of the probes alone, so 1.0 for one eigenvalue and two probes.
    """

    edges: np.ndarray
    counts: np.ndarray
    error: np.ndarray


def histogram(density: SpectralDensity, edges: np.ndarray) -> Histogram:
    """How many eigenvalues fall into each bin, by the nodes' weights; no smoothing."""
    rows = [np.histogram(probe.values, edges, weights=probe.weights)[0] for probe in density.probes]
    share = np.mean(rows, axis=0)
    size = density.size
    return Histogram(np.asarray(edges, np.float64), size * share, size * density._error(share, share))
