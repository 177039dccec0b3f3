"""The Hessian stage: the largest eigenvalue at the best epoch by PyHessian's power iteration (Table 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature
from qpatch.config import RunConfig
from qpatch.runs.stage import NUMBER, TRUTH, Outcome, Parameter, Stage, images_used

if TYPE_CHECKING:
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))

POWER_PRODUCTS = 15  # of a power iteration, as the stored runs had


def compute(work: Work, tolerance: float, max_iterations: int, start_seed: int, subset: int) -> Outcome:
    """The largest Hessian eigenvalue of the loss over all training images, or over a subset, by angles and bias."""
    loss = curvature.LossCurvature(work.model(), work.images(subset), progress=True)
    product = work.kept(loss.hessian, "hessian")
    result = curvature.power_iteration(product, start_seed, tolerance, max_iterations)
    files = {"eigenvalue.csv": pd.DataFrame({"estimate": result.estimates})}
    return Outcome(files, {"lambda_max": result.eigenvalue, "converged": result.converged})


def _cost(config: RunConfig, values: dict, seconds: Callable[[str, int], float]) -> float:
    return POWER_PRODUCTS * seconds("product", images_used(config, values["subset"]))


def _problems(run: RunFolder) -> Iterator[str]:
    estimates, record = run.eigenvalue_estimates(), run.record("hessian")
    if not len(estimates) or not np.isfinite(estimates).all():
        yield "eigenvalue.csv holds a value that is not finite"
        return
    # PyHessian stops when an estimate differs little from the one before, and returns that one before.
    stated = estimates[-2] if record["converged"] and len(estimates) > 1 else estimates[-1]
    if record["lambda_max"] != stated:
        yield f"lambda_max is {record['lambda_max']}, but the estimates in eigenvalue.csv give {stated}"
    tolerance = record["parameters"].get("tolerance")
    changes = np.abs(np.diff(estimates)) / (np.abs(estimates[:-1]) + 1e-6)
    met = len(changes) > 0 and tolerance is not None and bool(changes[-1] < tolerance)
    if tolerance is not None and record["converged"] != met:
        yield f"converged is {record['converged']}, but the last change in eigenvalue.csv says {met}"


STAGE = Stage(
    name="hessian",
    compute=compute,
    leaves=("eigenvalue.csv",),
    needs=("best.safetensors",),
    parameters={
        "tolerance": Parameter(1e-3, "relative change at which the power iteration stops", above=0),
        "max_iterations": Parameter(100, "products at most", least=1),
        "start_seed": Parameter(0, "of the random start vector", least=0),
        "subset": Parameter(0, "training images, the classes in proportion; 0 takes all", least=0, said=False),
    },
    record={"lambda_max": NUMBER, "converged": TRUTH},
    cost=_cost,
    problems=_problems,
)
