"""Outliers of a spectrum, counted by one stated rule.

The rule. Sort the eigenvalues from the outside inwards and place them on a symlog axis, ``x = asinh(lambda / s)`` with
s = 1e-3 of the largest magnitude. A gap's *score* is its width over the mean width of the ten gaps next to it on the
inner side (at least 1 %); with fewer than three it has none, nor have those further in than the outermost fifty. The
outliers are all eigenvalues outside the gap of highest score, if that is 5 or more; else there are none.

Why so. The score compares a gap with the spectrum's own spacing where the bulk begins, so neither the spectrum's scale
nor the power of a power-law tail matters (a power law scores about 4, at its very first gap), nor how far the outliers
spread. Of random matrices without outliers (GOE, Wishart; 100 to 300 rows) 1 to 6 in 100 have a gap of score 5.
Independent random eigenvalues cluster, and reach 5 more often than not: for those the rule is no test.

Only what is known counts: an eigenvalue whose Ritz residual is 0.1 % of it or less. An unresolved Ritz value may stand
in for the bulk, moved outwards by its residual, but is never counted, nor is what lies inside it. Of an eigenvalue of
several copies each counts: `extreme_eigenpairs` finds all, while Ritz values of one start hold it once.
"""

from dataclasses import dataclass

import numpy as np

LINEAR = 1e-3  # of the largest magnitude
WINDOW = 10  # gaps that make a spacing
MOST = 50  # outermost eigenvalues to look at
FEWEST = 3  # with fewer gaps than these beside it a gap has no score
NARROWEST = 0.01  # gap on the symlog axis
THRESHOLD = 5.0  # score that makes a gap
RESOLVED = 1e-3  # residual of a known eigenvalue, relative to it


@dataclass(frozen=True)
class Outliers:
    """Eigenvalues that stand apart from the bulk, at one end of a spectrum.

    Attributes:
        values: the outliers, from the outermost inwards, ``(count,)``.
        edge: where the bulk begins: the first eigenvalue that is none, moved outwards by its residual.
        scores: of the gap behind each resolved eigenvalue, from the outermost inwards: see the rule.
        resolved: how many of the outermost eigenvalues are known well enough to count.
    """

    values: np.ndarray
    edge: float
    scores: np.ndarray
    resolved: int

    @property
    def count(self) -> int:
        return len(self.values)


def count_outliers(
    eigenvalues: np.ndarray, residuals: np.ndarray | None = None, end: str = "upper", scale: float | None = None
) -> Outliers:
    """The outliers at the "upper" or "lower" end of a spectrum; ValueError where the arguments are not as follows.

    Args:
        eigenvalues: in any order, ``(m,)``, finite: all, the k outermost at this end, or Ritz values.
        residuals: absolute ones of each, ``(m,)``; None means that all are exact.
        end: "upper" or "lower".
        scale: the largest magnitude of the whole spectrum; None takes that of ``eigenvalues``.
    """
    values = np.asarray(eigenvalues, np.float64)
    residuals = np.zeros_like(values) if residuals is None else np.asarray(residuals, np.float64)
    if end not in ("upper", "lower") or values.ndim != 1 or not len(values) or residuals.shape != values.shape:
        raise ValueError(f"end {end!r} of eigenvalues {values.shape} with residuals {residuals.shape}; give 'upper' or"
                         " 'lower', one or more eigenvalues and a residual each")  # fmt: skip
    if not np.isfinite(values).all():
        raise ValueError("eigenvalues that are not finite have no outliers; check the products")
    sign = 1.0 if end == "upper" else -1.0
    order = np.argsort(-sign * values)
    outward, residuals = sign * values[order], residuals[order]  # the outermost first
    scale = np.abs(values).max() if scale is None else scale
    near = outward + residuals  # how far out each may lie
    resolved = int(np.cumprod(residuals <= RESOLVED * np.abs(outward)).sum())
    scores = _scores(outward, near[1:], resolved, LINEAR * scale or 1.0)
    count = int(np.argmax(scores)) + 1 if len(scores) and scores.max() >= THRESHOLD else 0
    return Outliers(sign * outward[:count], float(sign * near[count]), scores, resolved)


def _scores(outward: np.ndarray, near: np.ndarray, resolved: int, linear: float) -> np.ndarray:
    scores = []
    for i in range(min(resolved, MOST, len(outward) - 1 - FEWEST)):
        if outward[i] <= 0:
            break
        inner = outward[i + 1 : i + 2 + WINDOW]
        # The bulk lies around zero, where there is always some first gap: one across zero begins at the mirror image.
        begin = near[i] if near[i] > 0 else np.abs(inner).max()
        width = np.arcsinh(outward[i] / linear) - np.arcsinh(begin / linear)
        spacing = (np.arcsinh(inner[0] / linear) - np.arcsinh(inner[-1] / linear)) / (len(inner) - 1)
        scores.append(max(width, 0.0) / max(spacing, NARROWEST))
    return np.array(scores)
