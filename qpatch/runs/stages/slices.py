"""The slices stage: other planes through the minimum than the paper's, straight lines to it, what each holds.

The analyses know nothing of the QNN (`qpatch.landscape`); this module hands them one. A path keeps the angles alone, so
its points have the bias of the best epoch here, as in the paper's plane.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature, landscape, model
from qpatch.config import RunConfig
from qpatch.runs import readings
from qpatch.runs.stage import (
    CLOSE,
    COUNT,
    EPOCH,
    NOT_NEGATIVE,
    NUMBER,
    SHARE,
    Outcome,
    Parameter,
    Stage,
    images_used,
    list_of,
    map_of,
    record_of,
)
from qpatch.runs.stages.spectrum import TRACE_PRODUCTS

if TYPE_CHECKING:
    from qpatch.curvature.spectrum import Eigenpairs
    from qpatch.landscape.lines import Profile
    from qpatch.landscape.plane_curvature import PlaneCurvature
    from qpatch.landscape.planes import Plane
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd, torch = (lazy_loader.load(name) for name in ("numpy", "pandas", "torch"))

LINE_POINTS = 21  # from end to end
LINE_MARGIN = 0.1  # beyond each end, as a share of the length
ALONG_RESIDUAL = 1e-3  # of an eigenpair along the path, relative
LOWER_STEPS = 20  # of Lanczos, to see whether a negative curvature is among the largest in magnitude
ROOM = 1.1  # of the grid, times the farthest that the path gets from the minimum on its own plane
PRODUCTS = 200  # about, of the curvature on planes and along the path
PLANE = record_of(
    {"ratios": list_of(SHARE, 2), "hessian": list_of(list_of(NUMBER, 2), 2), "of_trace": NUMBER}
    | {"of_trace_error": NOT_NEGATIVE, "of_most": SHARE}
)


def compute(work: Work, n_images: int, n_points: int, residual: float, start_seed: int) -> Outcome:
    """The loss on four planes through the best epoch's parameters and on lines to it from earlier epochs.

    The planes: the path's principal one, a random one, a random one normalised by QNN, that of the two top
    eigenvectors; all on one square grid, as wide as the path is on the first. The lines begin at the start and
    wherever the learning rate was zero before the best epoch. At their beginnings and at the best epoch: the largest
    Hessian eigenvalue, and how much of it the Gauss-Newton part explains.
    """
    run, config, qnns, split = work.run, work.run.config, work.model(), work.images(n_images)
    path = run.trajectory().astype(np.float64)
    minimum, at = model.flat_parameters(qnns), model.loss_at(qnns, split)
    path = model.with_bias(path, qnns)
    points = {epoch: path[epoch + 1] for epoch in _spots(run)}
    *starts, end = points
    lines = [landscape.Line(points[start], points[end], f"epoch {start} to {end}") for start in starts]
    positions = landscape.line_positions(LINE_POINTS, LINE_MARGIN)
    print(landscape.forecast(at, minimum, 4 * n_points**2 + len(lines) * len(positions)))
    loss = curvature.LossCurvature(qnns, split)
    product = work.kept(loss.hessian, "minimum")
    options = {"k": 2, "smallest": 0, "tolerance": residual, "seed": start_seed}
    pairs = curvature.extreme_eigenpairs(product, **options)
    planes = _planes(config, path, run.record("train")["best_epoch"] + 1, minimum, pairs, start_seed)
    held = _held(product, planes, pairs, start_seed)
    reach = ROOM * np.abs(planes[0].trajectory).max()
    axis = np.linspace(-reach, reach, n_points)
    grids = [work.grid(f"rows-{number}", at, plane, axis, axis) for number, plane in enumerate(planes)]
    profiles = [landscape.evaluate_line(at, line, positions) for line in lines]
    along = _along(work, qnns, split, points, start_seed)
    barriers = {each.name: {"length": each.length, "barrier": each.barrier, "peak": each.peak} for each in profiles}
    values = {"planes": _shares(planes, held), "lines": barriers, "along": along}
    return Outcome(_files(planes, axis, grids, profiles), values | {"images_used": len(split)})


def _spots(run: RunFolder) -> list[int]:
    """Epochs: the start, the earlier ones of zero rate, which end an annealing, the best (if it is none, the last)."""
    best, history = run.record("train")["best_epoch"], run.history()
    still = history.loc[(history["learning_rate"] == 0) & (history["epoch"] >= 0), "epoch"]
    return [-1, *still[still < best], best if best >= 0 else int(history["epoch"].max())]


def _planes(config: RunConfig, path, best: int, minimum, pairs: Eigenpairs, seed: int) -> list[Plane]:
    planes = [
        landscape.pca_plane(path, best, "principal").through(minimum),
        landscape.random_plane(minimum, seed, name="random"),
        landscape.random_plane(minimum, seed, model.qnn_groups(config), name="random, by QNN"),
        landscape.spanned_plane(minimum, *pairs.largest_vectors.T, name="two top eigenvectors"),
    ]
    return [plane.with_trajectory(path) for plane in planes]


def _held(product, planes, pairs: Eigenpairs, seed: int) -> list[PlaneCurvature]:
    whole = curvature.trace(product, TRACE_PRODUCTS, seed)
    start = np.random.default_rng(seed).standard_normal(product.shape[0])
    lower = curvature.lanczos(product, LOWER_STEPS, start).values
    extremes = np.concatenate([pairs.largest, np.sort(lower)[:2]])
    return [landscape.plane_curvature(product, plane, whole, extremes) for plane in planes]


def _along(work: Work, qnns, split, points: dict[int, np.ndarray], seed: int) -> list[dict]:
    """At the epochs' points: the largest eigenvalue, and the Gauss-Newton part's share in it."""
    moved, found = copy.deepcopy(qnns), []
    loss = curvature.LossCurvature(moved, split)
    options = {"k": 1, "smallest": 0, "tolerance": ALONG_RESIDUAL, "seed": seed}
    for epoch, point in points.items():
        model.move_to(moved, point)
        product = work.kept(loss.hessian, f"epoch-{epoch}")
        top = curvature.extreme_eigenpairs(product, **options)
        share = curvature.explained(loss.gauss_newton, product, top.largest_vectors[:, 0])
        found.append({"epoch": epoch, "lambda_max": float(top.largest[0]), "gauss_newton_share": share})
    return found


def _files(planes, axis, grids, profiles: list[Profile]) -> dict:
    columns, rows = np.meshgrid(axis, axis)
    frames = [
        pd.DataFrame({"plane": plane.name, "x": columns.ravel(), "y": rows.ravel(), "loss": grid.ravel()})
        for plane, grid in zip(planes, grids, strict=True)
    ]
    paths = [pd.DataFrame(plane.trajectory, columns=["x", "y"]).assign(plane=plane.name) for plane in planes]
    lines = [pd.DataFrame({"line": profile.name, "t": profile.t, "loss": profile.loss}) for profile in profiles]
    return {
        "planes.csv": pd.concat(frames),
        "paths.csv": pd.concat(paths)[["plane", "x", "y"]],
        "lines.csv": pd.concat(lines),
    }


def _shares(planes: list[Plane], held: list[PlaneCurvature]) -> dict:
    return {
        plane.name: {
            "ratios": plane.ratios.tolist(),
            "hessian": part.hessian.tolist(),
            "of_trace": part.of_trace.value,
            "of_trace_error": part.of_trace.error,
            "of_most": part.of_most,
        }
        for plane, part in zip(planes, held, strict=True)
    }


def _cost(config: RunConfig, values: dict, seconds: Callable[[str, int], float]) -> float:
    images = images_used(config, values["n_images"])
    return 4 * values["n_points"] ** 2 * seconds("evaluation", images) + PRODUCTS * seconds("product", images)


def _problems(run: RunFolder) -> Iterator[str]:
    record, n_points = run.record("slices"), run.record("slices")["parameters"]["n_points"]
    for each in readings.stored_slices(run):
        if each.loss.shape != (n_points, n_points) or (each.loss < 0).any():
            yield f"planes.csv holds no {n_points} x {n_points} losses of the plane {each.name!r}, or one below zero"
        if len(each.trajectory) != run.config.epochs + 1 or np.abs(each.trajectory[each.best]).max() > 1e-3:
            yield f"the path on the plane {each.name!r} in paths.csv does not have the best epoch at its origin"
        if not 0 <= each.of_most <= 1 or not 0 <= each.ratios.sum() <= 1 + CLOSE:
            yield f"the shares of the plane {each.name!r} are no shares"
    for profile in readings.stored_profiles(run):
        stated = record["lines"][profile.name]["barrier"]
        if not math.isclose(profile.barrier, stated, rel_tol=CLOSE, abs_tol=CLOSE):
            yield f"the barrier of {profile.name!r} is {stated}, but lines.csv says {profile.barrier}"


STAGE = Stage(
    name="slices",
    compute=compute,
    leaves=("planes.csv", "paths.csv", "lines.csv"),
    needs=("best.safetensors", "trajectory.safetensors"),
    draws_plane=True,
    parameters={
        "n_images": Parameter(6000, "training images, the classes in proportion; 0 takes all", least=0),
        "n_points": Parameter(20, "of each grid, along each axis", least=2),
        "residual": Parameter(1e-4, "of an eigenpair, relative to the largest eigenvalue", above=0),
        "start_seed": Parameter(0, "of all random vectors", least=0),
    },
    record={
        "along": list_of(record_of({"epoch": EPOCH, "lambda_max": NUMBER, "gauss_newton_share": NUMBER})),
        "planes": map_of(PLANE),
        "lines": map_of(record_of({"length": NOT_NEGATIVE, "barrier": NOT_NEGATIVE, "peak": SHARE})),
        "images_used": COUNT,
    },
    cost=_cost,
    problems=_problems,
)
