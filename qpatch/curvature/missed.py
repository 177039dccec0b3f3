"""What an iteration from one starting vector cannot see: further copies of an eigenvalue.

A Krylov space holds one vector of each eigenspace, and what rounding adds; an iteration may return one copy of a
fivefold eigenvalue, miss four, and have tiny residuals. So a second one starts at random, orthogonal to all that was
found, and tells for certain or for probable whether something is left beyond a bound x:

- If one of its Ritz values exceeds x, an eigenvalue of the complement does. It goes on until that has converged.
- Else let p be the m-th Lanczos polynomial, the one that makes the (m+1)-th vector of the first. It grows beyond all
  Ritz values, and for an eigenvector u of an eigenvalue above x, ``|u . start| <= 1 / p(x)``. A random start is that
  nearly orthogonal to u with a probability of less than ``sqrt(n) / p(x)`` (Van Dorsselaer, Hochstenbach & Van der
  Vorst, 2000): below `RISK` nothing is left.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh_tridiagonal

from qpatch.curvature.products import ConvergenceError, CountedProduct
from qpatch.curvature.recurrence import lanczos_steps

RISK = 0.01  # that an eigenvector is overlooked


@dataclass
class End:
    """One end of a spectrum, watched while Lanczos runs in the complement of what was found there."""

    sign: float  # 1 for the largest eigenvalues, -1 for the smallest
    found: np.ndarray  # sign times those found, (k,)
    slack: float  # what an eigenvalue must exceed the innermost of them by to be missing
    growth: float = 0.0  # log p(x) of the polynomial so far
    exceeded: bool = False  # whether a Ritz value lies beyond x
    pivot: float = math.inf

    @property
    def bound(self) -> float:
        return self.found.min() + self.slack

    def step(self, diagonal: list[float], beside: list[float]) -> None:
        """The next pivot of x - T: all are positive as long as no Ritz value exceeds x, and p is their product."""
        before = beside[-2] if len(beside) > 1 else 0.0
        self.pivot = self.bound - self.sign * diagonal[-1] - before**2 / self.pivot
        self.exceeded = self.exceeded or self.pivot <= 0
        if not self.exceeded:
            self.growth += math.log(self.pivot / beside[-1]) if beside[-1] else math.inf

    def among_the_outermost(self, ritz: np.ndarray) -> np.ndarray:
        """Which Ritz values lie beyond x and among the k outermost of theirs and the found ones, ``(m,)``."""
        outward = self.sign * ritz
        innermost = np.sort(np.concatenate([self.found, outward]))[-len(self.found)]
        return (outward >= innermost) & (outward > self.bound)


def missed_vectors(
    counted: CountedProduct,
    known: np.ndarray,
    ends: list[End],
    start: np.ndarray,
    patience: int,
    most: int,
    magnitude: float,
) -> np.ndarray:
    """Eigenvectors beyond what was found, orthonormal columns ``(n, j)``: one a missed eigenvalue, none if none is.

    They are converged to half of the slack. More copies may be left: ask again with these among the known.

    Args:
        counted: the matrix, whose largest eigenvalue is about of the ``magnitude``.
        known: orthonormal columns ``(n, c)`` of the eigenvectors found so far.
        ends: what was found at each.
        start: a random vector ``(n,)``.
        patience: products after which nothing is taken for missing if nothing was seen, though the risk be larger.
        most: products in which what was seen must converge, or ConvergenceError is raised.
    """
    certain = math.log(counted.size**0.5 / RISK)
    for basis, diagonal, beside in lanczos_steps(counted, start, max(patience, most), known, magnitude):
        for end in ends:
            end.step(diagonal, beside)
        if not any(end.exceeded for end in ends):
            if len(basis) >= patience or all(end.growth >= certain for end in ends):
                break
            continue
        ritz, vectors = eigh_tridiagonal(diagonal, beside[:-1])
        wanted = np.any([end.among_the_outermost(ritz) for end in ends if end.exceeded], axis=0)
        if (beside[-1] * np.abs(vectors[-1, wanted])).max() <= ends[0].slack / 2:
            return basis.T @ vectors[:, wanted]
        if len(basis) >= most:
            raise ConvergenceError(
                f"an eigenvalue of several copies near {ritz[wanted][-1]:.6g} had not converged when {counted.count}"
                f" products were spent; raise max_products or the tolerance, or ask for fewer eigenvalues"
            )
    return np.empty((counted.size, 0))
