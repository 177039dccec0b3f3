"""What stages stored, as the objects that they stored it from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature, landscape, model

if TYPE_CHECKING:
    from qpatch.curvature.density import SpectralDensity
    from qpatch.landscape.lines import Line, Profile
    from qpatch.runs.store import RunFolder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))


@dataclass(frozen=True, eq=False)
class Landscape:
    """Losses ``(len(y), len(x))`` on a plane, and the trajectory ``(epochs + 1, 2)`` projected on it.

    Coordinates are in parameter units, relative to the best epoch's projection; ``best`` is its row in the trajectory.
    ``ratios`` ``(2,)`` are the shares of the trajectory's variance along the axes.
    """

    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    trajectory: np.ndarray
    ratios: np.ndarray
    best: int


def stored_plane(losses: pd.DataFrame, path: pd.DataFrame, ratios: list[float], best_epoch: int) -> Landscape:
    """A plane from its points ``x, y, loss``, the path's ``x, y`` on it, and what its record says of it."""
    grid = losses.pivot(index="y", columns="x", values="loss")
    x, y, trajectory = grid.columns.to_numpy(), grid.index.to_numpy(), path[["x", "y"]].to_numpy()
    return Landscape(x, y, grid.to_numpy(), trajectory, np.array(ratios), best_epoch + 1)


@dataclass(frozen=True, eq=False)
class Slice(Landscape):
    """A plane as the slices stage stored it, its origin the best epoch's parameters."""

    name: str
    of_trace: float  # the share of the Hessian's trace that the plane holds
    of_trace_error: float  # its standard error
    of_most: float  # the plane's curvatures' magnitudes over those of the two largest eigenvalues, 0 to 1


def stored_slices(run: RunFolder) -> list[Slice]:
    """The planes that the stage stored, in the order in which it made them."""
    losses, paths = (run.table(name).groupby("plane") for name in ("planes.csv", "paths.csv"))
    found, best = [], (run.record("train") or {}).get("best_epoch", -1)
    for name, values in run.record("slices")["planes"].items():
        shares = {key: values[key] for key in ("of_trace", "of_trace_error", "of_most")}
        plane = stored_plane(losses.get_group(name), paths.get_group(name), values["ratios"], best)
        found.append(Slice(**vars(plane), name=name, **shares))
    return found


def stored_profiles(run: RunFolder) -> list[Profile]:
    """The loss along the lines that the stage stored, from the earliest epoch on."""
    losses = run.table("lines.csv").groupby("line")
    return [
        landscape.Profile(
            losses.get_group(name)["t"].to_numpy(), losses.get_group(name)["loss"].to_numpy(), line["length"], name
        )
        for name, line in run.record("slices")["lines"].items()
    ]


def line_between(first: RunFolder, second: RunFolder) -> Line:
    """The straight line between the best parameters of two runs, angles and bias, such as those of two seeds.

    Raises:
        ValueError: runs of different shape.
    """
    ends = [model.flat_parameters(run.model()) for run in (first, second)]
    if ends[0].shape != ends[1].shape:
        raise ValueError(
            f"{first.run_id} and {second.run_id} have {len(ends[0])} and {len(ends[1])} parameters; no line joins them"
        )
    return landscape.Line(*ends, name=f"{first.run_id} to {second.run_id}")


def stored_density(run: RunFolder) -> SpectralDensity:
    """The spectral density that the stage stored."""
    size, columns = run.config.n_trainable, ["node", "weight", "residual"]
    probes = tuple(
        curvature.Ritz(*frame[columns].to_numpy().T, len(frame) == size, len(frame))
        for _, frame in run.density().groupby("probe")
    )
    return curvature.SpectralDensity(probes, size, sum(probe.products for probe in probes))
