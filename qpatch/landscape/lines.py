"""Straight lines between points of parameter space, the loss along them, and the barrier (Goodfellow et al., 2015)."""

from dataclasses import dataclass

import numpy as np

from qpatch.landscape.grid import PointLoss, finite_loss


@dataclass(frozen=True, eq=False)
class Line:
    """The straight line ``(1 - t) start + t end`` between two points ``(n,)``.

    ValueError where these are of different size, not finite, or the same.
    """

    start: np.ndarray
    end: np.ndarray
    name: str = "line"

    def __post_init__(self):
        for name in ("start", "end"):
            object.__setattr__(self, name, np.asarray(getattr(self, name)))
        if self.start.ndim != 1 or self.start.shape != self.end.shape:
            raise ValueError(f"points of shapes {self.start.shape} and {self.end.shape}; give two of one size (n,)")
        if not np.isfinite(self.length):
            raise ValueError(f"an end of the line {self.name!r} is not finite; drop what diverged")
        if not self.length:
            raise ValueError(f"both ends of the line {self.name!r} are the same point; give two different ones")

    @property
    def length(self) -> float:
        """Distance of the ends, in parameter units."""
        return float(np.linalg.norm(self.end.astype(np.float64) - self.start))

    def point(self, t: float) -> np.ndarray:
        """The parameter vector ``(n,)`` at t; the ends to the last bit."""
        return (1 - t) * self.start + t * self.end


@dataclass(frozen=True, eq=False)
class Profile:
    """The loss ``(points,)`` at ascending positions t along a line, 0 and 1 among them, and the line's length."""

    t: np.ndarray
    loss: np.ndarray
    length: float
    name: str

    @property
    def interpolation(self) -> np.ndarray:
        """What a loss linear between the ends would be, ``(1 - t) L(0) + t L(1)``, ``(points,)``."""
        start, end = (self.loss[np.flatnonzero(self.t == t)[0]] for t in (0, 1))
        return (1 - self.t) * start + self.t * end

    @property
    def rise(self) -> np.ndarray:
        """The loss above the interpolation; -inf beyond the ends, ``(points,)``."""
        between = (self.t >= 0) & (self.t <= 1)
        return np.where(between, self.loss - self.interpolation, -np.inf)

    @property
    def barrier(self) -> float:
        """Highest loss above the interpolation of the ends, 0 or more: ``max over t of L(t) - (1 - t) L(0) - t L(1)``.

        For ends of equal loss it is the error barrier of Frankle et al. (2020), who subtract the mean of the ends. That
        a straight line meets a barrier does not tell that every path does (Garipov et al., 2018).
        """
        return float(self.rise.max())

    @property
    def peak(self) -> float:
        """Where the barrier is, t from 0 to 1."""
        return float(self.t[self.rise.argmax()])

    @property
    def barrier_error(self) -> float:
        """How far the barrier may lie above the highest point, by the parabola through it and its neighbours.

        With rises a, b, c at equal steps, b the highest: ``(c - a)^2 / (8 (2 b - a - c))``.
        """
        rise, top = self.rise, int(self.rise.argmax())
        if not 0 < self.t[top] < 1:
            return 0.0
        before, at, after = rise[top - 1 : top + 2]
        bend = 2 * at - before - after
        return float((after - before) ** 2 / (8 * bend)) if bend > 0 else 0.0


def line_positions(n_points: int = 25, margin: float = 0.0) -> np.ndarray:
    """``n_points`` in equal steps from 0 to 1, and as many steps beyond each end as the margin holds.

    Fewer than three points, or a margin that is negative or not finite, are a ValueError.
    """
    if n_points < 3 or not 0 <= margin < np.inf:
        raise ValueError(
            f"{n_points} points with margin {margin}; take three or more points from end to end and a finite margin of"
            f" 0 or more, as a share of the length"
        )
    beyond = int(margin * (n_points - 1) + 1e-9)  # a margin of so many steps, whatever its rounding
    return np.arange(-beyond, n_points + beyond) / (n_points - 1)  # 0 and 1 exactly


def evaluate_line(loss: PointLoss, line: Line, t: np.ndarray) -> Profile:
    """The loss, of a parameter vector ``(n,)``, at positions along a line, as `line_positions` gives them.

    ValueError for positions without both ends, or not ascending; FloatingPointError where a loss is not finite.
    """
    t = np.asarray(t, np.float64)
    if not ({0.0, 1.0} <= set(t.tolist()) and (np.diff(t) > 0).all()):
        raise ValueError("the positions must ascend and hold 0 and 1, the ends; take `line_positions`")
    losses = [finite_loss(loss, line.point(at), f"t = {at:.4g} of the line {line.name!r}") for at in t]
    return Profile(t, np.array(losses), line.length, line.name)
