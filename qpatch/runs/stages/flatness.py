"""The flatness stage: eigenvalues and traces at the best epoch, and around where training passed one and the same loss.

A flat minimum may only be a well-fitted one. So curvature is also taken on the way, at the epochs before and after the
training loss fell to a given value, between which `study.causes` interpolates: where it fell there for the first time,
and for the last time before the best epoch, when the learning rate of all runs is at the same point of its swing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature, model
from qpatch.runs.stage import COUNT, Outcome, Parameter, Stage, images_used

if TYPE_CHECKING:
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))

RESIDUAL = 1e-2  # of the largest eigenvalues, relative
TRACE_PRODUCTS = 15
POINTS, PRODUCTS = 5, 70  # at most, and about, of each


def compute(work: Work, loss: float, n_images: int, start_seed: int) -> Outcome:
    """A row an epoch: largest eigenvalue and trace of the Hessian and of its Gauss-Newton part, by angles and bias."""
    run, split = work.run, work.images(n_images)
    moved, path = copy.deepcopy(work.model()), run.points()
    derivatives, rows = curvature.LossCurvature(moved, split), []
    for epoch in epochs_wanted(run, loss):
        model.move_to(moved, path[epoch + 1])
        row = {"epoch": epoch}
        for name in ("hessian", "gauss_newton"):
            product = work.kept(getattr(derivatives, name), f"{name}-{epoch}")
            top = curvature.extreme_eigenpairs(product, k=1, smallest=0, tolerance=RESIDUAL, seed=start_seed)
            trace = curvature.trace(product, TRACE_PRODUCTS, start_seed)
            row |= {f"{name}_max": float(top.largest[0]), f"{name}_trace": trace.value, f"{name}_error": trace.error}
        rows.append(row)
    return Outcome({"flatness.csv": pd.DataFrame(rows)}, {"images_used": len(split)})


def crossings(losses: np.ndarray, loss: float, best: int) -> dict[str, int]:
    """Where a loss, ``(epochs + 1,)`` from the start on, falls to a value: the row before, by 'first' and 'last'.

    The last one is that before row ``best``, the one of least loss. Empty where it never falls so far.
    """
    falls = np.flatnonzero((losses[:-1] > loss) & (losses[1:] <= loss))
    falls = falls[falls < best]
    return {"first": int(falls[0]), "last": int(falls[-1])} if len(falls) else {}


def epochs_wanted(run: RunFolder, loss: float) -> list[int]:
    """The epochs on both sides of the first and the last crossing of a training loss, and the best, in order."""
    best = run.record("train")["best_epoch"]
    rows = crossings(run.history()["train_loss"].to_numpy(), loss, best + 1).values()
    return sorted({best, *(row - 1 for row in rows), *(row for row in rows)})


def _problems(run: RunFolder) -> Iterator[str]:
    table, record = run.table("flatness.csv"), run.record("flatness")
    if list(table["epoch"]) != epochs_wanted(run, record["parameters"]["loss"]):
        yield "flatness.csv does not hold the best epoch and those around the loss that its record names"
    for name in ("hessian", "gauss_newton"):
        if (table[f"{name}_error"] < 0).any():
            yield f"flatness.csv holds a standard error below zero of the trace of {name}"
    if (table["gauss_newton_max"] < 0).any() or (table["gauss_newton_trace"] < table["gauss_newton_max"] / 2).any():
        yield "flatness.csv holds a Gauss-Newton part that is not positive semidefinite"


STAGE = Stage(
    name="flatness",
    compute=compute,
    leaves=("flatness.csv",),
    needs=("best.safetensors", "trajectory.safetensors"),
    parameters={
        "loss": Parameter(0.04, "training loss around whose crossings the curvature is taken", above=0),
        "n_images": Parameter(2000, "training images, the classes in proportion; 0 takes all", least=0),
        "start_seed": Parameter(0, "of the random start vectors and signs", least=0),
    },
    record={"images_used": COUNT},
    cost=lambda config, values, seconds: (
        POINTS * PRODUCTS * seconds("product", images_used(config, values["n_images"]))
    ),
    problems=_problems,
)
