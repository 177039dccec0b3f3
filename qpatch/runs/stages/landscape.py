"""The landscape stage: the loss on the principal plane of a training's path (Fig. 3, Table 4)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import landscape, model
from qpatch.runs.stage import CLOSE, EPOCH, SHARE, Outcome, Parameter, Stage, list_of

if TYPE_CHECKING:
    from qpatch.landscape.planes import Plane
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd, torch = (lazy_loader.load(name) for name in ("numpy", "pandas", "torch"))


def compute(work: Work, n_points: int, margin: float) -> Outcome:
    """The loss over all training images on a grid in the trajectory's principal plane.

    `plane.safetensors` has the trajectory's ``mean`` ``(n_angles,)`` and the plane's ``components`` ``(2, n_angles)``.
    """
    run = work.run
    loss = model.loss_at(work.model(), work.data.train)
    best = run.record("train")["best_epoch"]
    plane, mean = _plane(run, best)
    x, y = landscape.grid_axes(plane, n_points, margin)
    grid = work.grid("rows", loss, plane, x, y)
    columns, lines = np.meshgrid(x, y)
    points = pd.DataFrame({"epoch": np.arange(-1, run.config.epochs), "x": plane.trajectory[:, 0]})
    axes = {"mean": mean, "components": plane.axes}
    files = {
        "landscape.csv": pd.DataFrame({"x": columns.ravel(), "y": lines.ravel(), "loss": grid.ravel()}),
        "trajectory.csv": points.assign(y=plane.trajectory[:, 1]),
        "plane.safetensors": {name: torch.from_numpy(values).float() for name, values in axes.items()},
    }
    return Outcome(files, {"ratios": plane.ratios.tolist(), "best_epoch": best})


def _plane(run: RunFolder, best: int) -> tuple[Plane, np.ndarray]:
    """The path's principal plane and mean; of a run that was published without its path, those that it came with."""
    if run.file("trajectory.safetensors").is_file():
        trajectory = run.trajectory().astype(np.float64)
        return landscape.pca_plane(trajectory, origin=best + 1), trajectory.mean(axis=0)
    stored = {name: values.double().numpy() for name, values in run.tensors("plane.safetensors").items()}
    mean, angles = stored["mean"], run.best_parameters()["angles"].double().numpy()
    axes = landscape.spanned_plane(mean, *stored["components"]).axes  # orthonormal in double precision again
    known = run.landscape()
    origin = mean + axes.T @ (axes @ (angles.ravel() - mean))
    return landscape.Plane(origin, axes, "principal", known.trajectory, known.ratios), mean


def _problems(run: RunFolder) -> Iterator[str]:
    landscape, record = run.landscape(), run.record("landscape")
    if (landscape.loss < 0).any():
        yield "landscape.csv holds a loss below zero"
    best = (run.record("train") or {}).get("best_epoch")
    if record["best_epoch"] != best:
        yield f"the landscape is that of epoch {record['best_epoch']}, the best epoch is {best}"
    if len(landscape.trajectory) != run.config.epochs + 1:
        yield f"trajectory.csv holds {len(landscape.trajectory)} points, not {run.config.epochs + 1}"
        return
    scale = np.abs(landscape.trajectory).max()
    if np.abs(landscape.trajectory[landscape.best]).max() > CLOSE * scale:
        yield "trajectory.csv does not have the best epoch at its origin"
    variances = landscape.trajectory.var(axis=0)
    if not math.isclose(variances[1] * record["ratios"][0], variances[0] * record["ratios"][1], rel_tol=1e-3):
        yield "the ratios of explained variance are not those of the path in trajectory.csv"
    if sum(record["ratios"]) > 1 + CLOSE:
        yield f"the ratios of explained variance sum to {sum(record['ratios'])}, more than one"
    yield from _grid(run, landscape.x, landscape.y, landscape.trajectory)


def _grid(run: RunFolder, x: np.ndarray, y: np.ndarray, trajectory: np.ndarray) -> Iterator[str]:
    parameters = run.record("landscape")["parameters"]
    if not parameters:
        return
    n_points, margin = parameters["n_points"], parameters["margin"]
    rows = len(run.table("landscape.csv"))
    if rows != n_points**2 or (len(x), len(y)) != (n_points, n_points):
        yield f"landscape.csv holds {rows} points, not {n_points} x {n_points}"
        return
    for axis, ticks in enumerate((x, y)):
        low, high = trajectory[:, axis].min() - margin, trajectory[:, axis].max() + margin
        if not np.allclose(ticks, np.linspace(low, high, n_points), rtol=0, atol=CLOSE * (high - low)):
            yield f"the grid in landscape.csv does not span the path in trajectory.csv with a margin of {margin:g}"


STAGE = Stage(
    name="landscape",
    compute=compute,
    leaves=("landscape.csv", "trajectory.csv", "plane.safetensors"),
    needs=("best.safetensors", "trajectory.safetensors"),
    instead_of_path=("plane.safetensors", "trajectory.csv"),
    draws_plane=True,
    parameters={
        "n_points": Parameter(20, "of the grid, along each axis", least=2),
        "margin": Parameter(5.0, "around the projected trajectory, in parameter units", least=0),
    },
    record={"ratios": list_of(SHARE, 2), "best_epoch": EPOCH},
    cost=lambda config, values, seconds: values["n_points"] ** 2 * seconds("evaluation", config.n_train),
    problems=_problems,
)
