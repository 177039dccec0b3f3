"""How much of a loss's curvature a plane holds: the Hessian within it, beside the whole."""

from dataclasses import dataclass

import numpy as np

from qpatch.curvature.products import CountedProduct, Estimate, Operator
from qpatch.landscape.planes import Plane

EXCESS = 0.01  # relative error of given eigenvalues that is put up with


@dataclass(frozen=True, eq=False)
class PlaneCurvature:
    """The Hessian H restricted to a plane with axes U ``(2, n)``, and the cost in products.

    Attributes:
        name: of the plane.
        hessian: ``U H U'``, the second derivatives by the plane's coordinates, ``(2, 2)``.
        of_trace: ``tr(U H U') / tr H``, with the error that the trace's own causes, if that was given. A random plane
            holds 2 / n on average. Negative curvatures count negative, so it may exceed 1.
        of_most: ``(|m_1| + |m_2|) / (|l_1| + |l_2|)``, with m the eigenvalues of ``U H U'`` and l the two of largest
            magnitude of H, if given: the share of what a plane can hold at most, 0 to 1 (Ky Fan, 1951).
    """

    name: str
    hessian: np.ndarray
    of_trace: Estimate | None
    of_most: float | None
    products: int

    @property
    def eigenvalues(self) -> np.ndarray:
        """Of the restricted Hessian, descending, ``(2,)``: the curvatures that the picture shows."""
        return np.linalg.eigvalsh(self.hessian)[::-1]


def plane_curvature(
    product: Operator, plane: Plane, trace: Estimate | float | None = None, eigenvalues: np.ndarray | None = None
) -> PlaneCurvature:
    """The Hessian within a plane and its share of the whole, from two products; ValueError if the following is not so.

    Args:
        product: the Hessian, taken at the plane's origin: see `Plane.through`.
        plane: of the same size; its directions alone count.
        trace: of the Hessian, as `spectrum.trace` gives it; not zero.
        eigenvalues: of the Hessian, with the two of largest magnitude among them, such as those of both ends.
    """
    counted = CountedProduct(product)
    if (size := plane.axes.shape[1]) != counted.size:
        raise ValueError(f"the plane has {size} parameters, the Hessian {counted.size}; use the same ones")
    images = np.stack([counted(axis) for axis in plane.axes])  # (2, n)
    hessian = images @ plane.axes.T
    counted.check_symmetry(abs(hessian[0, 1] - hessian[1, 0]), np.linalg.norm(images, axis=1).max())
    hessian = (hessian + hessian.T) / 2
    return PlaneCurvature(
        name=plane.name,
        hessian=hessian,
        of_trace=None if trace is None else _of_trace(float(np.trace(hessian)), trace, counted.count),
        of_most=None if eigenvalues is None else _of_most(hessian, eigenvalues),
        products=counted.count,
    )


def _of_trace(held: float, trace: Estimate | float, products: int) -> Estimate:
    whole = trace if isinstance(trace, Estimate) else Estimate(float(trace), 0.0, 0)
    if not whole.value:
        raise ValueError("the trace is 0, of which nothing is a share; leave it out and give eigenvalues instead")
    share = held / whole.value
    return Estimate(share, abs(share) * whole.error / abs(whole.value), products + whole.products)


def _of_most(hessian: np.ndarray, eigenvalues: np.ndarray) -> float:
    magnitudes = np.sort(np.abs(np.asarray(eigenvalues, np.float64)))[::-1]
    if len(magnitudes) < 2 or not magnitudes[0]:
        raise ValueError(f"eigenvalues {eigenvalues}; give two or more, not all 0, the largest in magnitude among them")
    held, most = np.abs(np.linalg.eigvalsh(hessian)).sum(), magnitudes[:2].sum()
    if held > (1 + EXCESS) * most:
        raise ValueError(
            f"the plane holds curvatures of {held:.4g}, more than the {most:.4g} of the two largest eigenvalues given;"
            f" give those of largest magnitude, from both ends of the spectrum"
        )
    return float(min(held / most, 1.0))
