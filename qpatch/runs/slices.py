"""The slices stage of a run: other planes through its minimum than the paper's, straight lines to it, what each holds.

The analyses know nothing of the QNN (`planes`, `lines`, `plane_curvature`); this module hands them one and stores what
they find. A path keeps the angles alone, so its points have the bias of the best epoch here, as in the paper's plane.
"""

from __future__ import annotations

import copy
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from qpatch.config import RunConfig
from qpatch.curvature.density import lanczos
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.products import KeptProducts, Operator
from qpatch.curvature.spectrum import Eigenpairs, extreme_eigenpairs, trace
from qpatch.curvature.structure import explained
from qpatch.data import Dataset, Split, load_dataset, stratified_subset
from qpatch.landscape.grid import evaluate_grid, forecast
from qpatch.landscape.lines import Line, Profile, evaluate_line, line_positions
from qpatch.landscape.plane_curvature import PlaneCurvature, plane_curvature
from qpatch.landscape.planes import Plane, pca_plane, random_plane, spanned_plane
from qpatch.model.flat import flat_parameters, loss_at, move_to, qnn_groups, with_bias
from qpatch.model.qnn import PatchQNN
from qpatch.runs.device import choose_device
from qpatch.runs.provenance import machine
from qpatch.runs.rows import GridRows
from qpatch.runs.spectra import TRACE_PRODUCTS
from qpatch.runs.stages import load_best
from qpatch.runs.store import RunFolder

ROWS = tuple(f"rows-{number}.safetensors" for number in range(4))  # in the run's cache
LINE_POINTS = 21  # from end to end
ALONG_RESIDUAL = 1e-3  # of an eigenpair along the path, relative
LOWER_STEPS = 20  # of Lanczos, to see whether a negative curvature is among the largest in magnitude
LINE_MARGIN = 0.1  # beyond each end, as a share of the length
ROOM = 1.1  # of the grid, times the farthest that the path gets from the minimum on its own plane


def slices(
    config: RunConfig,
    device: str = "auto",
    n_images: int = 6000,
    n_points: int = 20,
    residual: float = 1e-4,
    start_seed: int = 0,
    data: Dataset | None = None,
) -> RunFolder:
    """The loss on four planes through the best epoch's parameters and on lines to it from earlier epochs.

    The planes: the path's principal one, a random one, a random one normalised by QNN, that of the two top
    eigenvectors; all on one square grid, as wide as the path is on the first. The lines begin at the start and
    wherever the learning rate was zero before the best epoch. At their beginnings and at the best epoch: the largest
    Hessian eigenvalue, and how much of it the Gauss-Newton part explains.

    Args:
        config: the run; its training must be done and its whole trajectory in the cache.
        device: as `stages.choose_device`.
        n_images: training images, the classes in proportion; 0 takes all.
        n_points: of a grid, along each axis.
        residual: of an eigenpair, relative to the largest eigenvalue.
        start_seed: of all random vectors.
        data: instead of `load_dataset` of the configuration.

    Raises:
        ValueError: a grid of fewer than two points.
    """
    if n_points < 2:
        raise ValueError(f"n_points is {n_points}; a grid needs two or more along each axis (the paper's has 20)")
    run, target, began = RunFolder(config), choose_device(device), time.perf_counter()
    with run.locked():
        path = run.trajectory().astype(np.float64)
        split = stratified_subset((data or load_dataset(config)).train, n_images)
        model = load_best(run, target)
        minimum, loss = flat_parameters(model), loss_at(model, split)
        path = with_bias(path, model)
        points = {epoch: path[epoch + 1] for epoch in _spots(run)}
        *starts, end = points
        lines = [Line(points[start], points[end], f"epoch {start} to {end}") for start in starts]
        positions = line_positions(LINE_POINTS, LINE_MARGIN)
        print(forecast(loss, minimum, 4 * n_points**2 + len(lines) * len(positions)))
        curvature, folder = LossCurvature(model, split), run.products_folder("slices", len(split))
        product = KeptProducts(curvature.hessian, folder)
        options = {"k": 2, "smallest": 0, "tolerance": residual, "seed": start_seed}
        pairs = extreme_eigenpairs(product, **options)
        planes = _planes(config, path, run.record("train")["best_epoch"] + 1, minimum, pairs, start_seed)
        held = _held(product, planes, pairs, start_seed)
        axis = _axis(planes[0], n_points)
        grids, earlier = zip(*(_grid(run, loss, len(split), *each, axis) for each in enumerate(planes)), strict=True)
        profiles = [evaluate_line(loss, line, positions) for line in lines]
        along, before = _along(model, split, points, start_seed, folder)
        run.reopen("slices")
        _write(run, planes, axis, grids, profiles)
        parameters = {"n_images": n_images, "n_points": n_points, "residual": residual, "start_seed": start_seed}
        seconds = sum(earlier) + product.earlier + before + time.perf_counter() - began
        values = {"planes": _shares(planes, held), "lines": _barriers(profiles), "along": along}
        values |= {"images_used": len(split)}
        run.write_record("slices", parameters, seconds, machine(target), **values)
        for name in ROWS:
            run.file(name).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    return run


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
        Profile(losses.get_group(name)["t"].to_numpy(), losses.get_group(name)["loss"].to_numpy(), line["length"], name)
        for name, line in run.record("slices")["lines"].items()
    ]


def line_between(first: RunFolder, second: RunFolder) -> Line:
    """The straight line between the best parameters of two runs, angles and bias, such as those of two seeds.

    Raises:
        ValueError: runs of different shape.
    """
    ends = [flat_parameters(load_best(run)) for run in (first, second)]
    if ends[0].shape != ends[1].shape:
        raise ValueError(
            f"{first.run_id} and {second.run_id} have {len(ends[0])} and {len(ends[1])} parameters; no line joins them"
        )
    return Line(*ends, name=f"{first.run_id} to {second.run_id}")


def _spots(run: RunFolder) -> list[int]:
    """Epochs: the start, the earlier ones of zero rate, which end an annealing, the best (if it is none, the last)."""
    best, history = run.record("train")["best_epoch"], run.history()
    still = history.loc[(history["learning_rate"] == 0) & (history["epoch"] >= 0), "epoch"]
    return [-1, *still[still < best], best if best >= 0 else int(history["epoch"].max())]


def _planes(config: RunConfig, path, best: int, minimum, pairs: Eigenpairs, seed: int) -> list[Plane]:
    planes = [
        pca_plane(path, best, "principal").through(minimum),
        random_plane(minimum, seed, name="random"),
        random_plane(minimum, seed, qnn_groups(config), name="random, by QNN"),
        spanned_plane(minimum, *pairs.largest_vectors.T, name="two top eigenvectors"),
    ]
    return [plane.with_trajectory(path) for plane in planes]


def _held(product: Operator, planes, pairs: Eigenpairs, seed: int) -> list[PlaneCurvature]:
    whole = trace(product, TRACE_PRODUCTS, seed)
    start = np.random.default_rng(seed).standard_normal(product.shape[0])
    lower = lanczos(product, LOWER_STEPS, start).values
    extremes = np.concatenate([pairs.largest, np.sort(lower)[:2]])
    return [plane_curvature(product, plane, whole, extremes) for plane in planes]


def _along(
    model: PatchQNN, split: Split, points: dict[int, np.ndarray], seed: int, folder: Path
) -> tuple[list[dict], float]:
    """At the epochs' points: the largest eigenvalue, and the Gauss-Newton part's share in it.

    Products are kept in ``folder``; also returned are the seconds that those of earlier calls took.
    """
    moved, found, earlier = copy.deepcopy(model), [], 0.0
    curvature = LossCurvature(moved, split)
    options = {"k": 1, "smallest": 0, "tolerance": ALONG_RESIDUAL, "seed": seed}
    for epoch, point in points.items():
        move_to(moved, point)
        product = KeptProducts(curvature.hessian, folder / f"epoch-{epoch}")
        top = extreme_eigenpairs(product, **options)
        share = explained(curvature.gauss_newton, product, top.largest_vectors[:, 0])
        found.append({"epoch": epoch, "lambda_max": float(top.largest[0]), "gauss_newton_share": share})
        earlier += product.earlier
    return found, earlier


def _axis(principal: Plane, n_points: int) -> np.ndarray:
    reach = ROOM * np.abs(principal.trajectory).max()
    return np.linspace(-reach, reach, n_points)


def _grid(run: RunFolder, loss, n_images: int, number: int, plane: Plane, axis: np.ndarray) -> tuple[np.ndarray, float]:
    """A plane's losses, and the seconds that earlier calls gave to those of them that were kept."""
    belongs_to = {"axis": axis, "axes": plane.axes, "origin": plane.origin, "n_images": np.array([n_images])}
    rows = GridRows(run, ROWS[number], belongs_to)
    grid = evaluate_grid(loss, plane, axis, axis, done=rows.load(), on_row=rows.save, progress=True)
    return grid, rows.earlier


def _write(run: RunFolder, planes, axis, grids, profiles: list[Profile]) -> None:
    columns, rows = np.meshgrid(axis, axis)
    frames = [
        pd.DataFrame({"plane": plane.name, "x": columns.ravel(), "y": rows.ravel(), "loss": grid.ravel()})
        for plane, grid in zip(planes, grids, strict=True)
    ]
    run.write_csv("planes.csv", pd.concat(frames))
    paths = [pd.DataFrame(plane.trajectory, columns=["x", "y"]).assign(plane=plane.name) for plane in planes]
    run.write_csv("paths.csv", pd.concat(paths)[["plane", "x", "y"]])
    lines = [pd.DataFrame({"line": profile.name, "t": profile.t, "loss": profile.loss}) for profile in profiles]
    run.write_csv("lines.csv", pd.concat(lines))


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


def _barriers(profiles: list[Profile]) -> dict:
    return {
        profile.name: {"length": profile.length, "barrier": profile.barrier, "peak": profile.peak}
        for profile in profiles
    }
