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

np = lazy_loader.load("numpy")


@dataclass(frozen=True, eq=False)
class Slice:
    """A plane as the stage stored it, its origin the best epoch's parameters.

    Attributes:
        name: of the plane.
        x, y: coordinates of the grid's columns and rows, in parameter units.
        loss: ``(len(y), len(x))``.
        trajectory: the projected path, ``(epochs + 1, 2)``.
        ratios: share of the path's variance along each axis, ``(2,)``.
        of_trace, of_trace_error: the share of the Hessian's trace that the plane holds, and its standard error.
        of_most: its curvatures' magnitudes over those of the two largest eigenvalues, 0 to 1.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    loss: np.ndarray
    trajectory: np.ndarray
    ratios: np.ndarray
    of_trace: float
    of_trace_error: float
    of_most: float


def stored_slices(run: RunFolder) -> list[Slice]:
    """The planes that the stage stored, in the order in which it made them."""
    losses, paths = (run.table(name).groupby("plane") for name in ("planes.csv", "paths.csv"))
    found = []
    for name, values in run.record("slices")["planes"].items():
        grid = losses.get_group(name).pivot(index="y", columns="x", values="loss")
        shares = {key: values[key] for key in ("of_trace", "of_trace_error", "of_most")}
        path, ratios = paths.get_group(name)[["x", "y"]].to_numpy(), np.array(values["ratios"])
        found.append(
            Slice(name, grid.columns.to_numpy(), grid.index.to_numpy(), grid.to_numpy(), path, ratios, **shares)
        )
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
    groups = [frame for _, frame in run.density().groupby("probe")]
    size = run.config.n_trainable
    probes = tuple(
        curvature.Ritz(
            *(frame[name].to_numpy() for name in ("node", "weight", "residual")), len(frame) == size, len(frame)
        )
        for frame in groups
    )
    return curvature.SpectralDensity(probes, size, sum(probe.products for probe in probes))
