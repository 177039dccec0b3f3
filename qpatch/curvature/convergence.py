"""When a power iteration has settled, and when on an eigenvector."""

from collections.abc import Sequence


def settled(estimates: Sequence[float], tolerance: float) -> bool:
    """PyHessian's rule, by which it stops: the last estimate differs from the one before by less than the tolerance.

    Relative to the one before. An iteration that settles returns that one, another the last.
    """
    if len(estimates) < 2:
        return False
    before, last = estimates[-2:]
    return bool(abs(last - before) / (abs(before) + 1e-6) < tolerance)


def near_eigenvector(estimate: float, residual: float, tolerance: float) -> bool:
    """Whether a residual is as small as a change below the tolerance makes it.

    A rest of square e of an eigenvector of the eigenvalue r lambda gives the residual ``sqrt(e) |1 - r|`` and the next
    change ``e (1 - r)^2 (1 + r)``, relative to lambda. So the residual is at most the root of the change, unless r is
    negative; near r = -1 changes say nothing. Ten times the tolerance under the root allows for r down to -0.9.
    """
    return bool(residual <= (10 * tolerance) ** 0.5 * abs(estimate))
