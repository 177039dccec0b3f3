"""The Hessian stage: the eigenvalue of largest magnitude at the best epoch by PyHessian's power iteration (Table 3).

Its record calls that ``lambda_max``, as the paper does. At a minimum it is the largest eigenvalue; where a negative one
exceeds it in size it is negative, and the ``lambda_min`` of the spectrum's record, whose ``lambda_max`` is the largest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import lazy_loader

from qpatch import curvature
from qpatch.runs.stage import NUMBER, TRUTH, Outcome, Parameter, Stage, images_used

if TYPE_CHECKING:
    from qpatch.runs.compute import Work
    from qpatch.runs.store import RunFolder

np, pd = (lazy_loader.load(name) for name in ("numpy", "pandas"))

POWER_PRODUCTS = 15  # of a power iteration, as the stored runs had


def compute(work: Work, tolerance: float, max_iterations: int, start_seed: int, subset: int) -> Outcome:
    """The Hessian's eigenvalue of largest magnitude, by angles and bias, over all training images or over a subset.

    `eigenvalue.csv` has the estimates and, but for runs that were stored before it was looked at, their residuals.
    """
    loss = curvature.LossCurvature(work.model(), work.images(subset), progress=True)
    product = work.kept(loss.hessian, "hessian")
    result = curvature.power_iteration(product, start_seed, tolerance, max_iterations)
    files = {"eigenvalue.csv": pd.DataFrame({"estimate": result.estimates, "residual": result.residuals})}
    return Outcome(files, {"lambda_max": result.eigenvalue, "converged": result.converged})


def _problems(run: RunFolder) -> Iterator[str]:
    table, record = run.table("eigenvalue.csv"), run.record("hessian")
    estimates, tolerance = table["estimate"].to_numpy(), record["parameters"].get("tolerance")
    converged = settled = record["converged"] if tolerance is None else curvature.settled(estimates, tolerance)
    if settled and tolerance is not None and "residual" in table:
        converged = curvature.near_eigenvector(estimates[-1], table["residual"].iloc[-1], tolerance)
    # PyHessian stops when an estimate differs little from the one before, and returns that one before.
    stated = estimates[-2] if settled and len(estimates) > 1 else estimates[-1]
    if record["lambda_max"] != stated:
        yield f"lambda_max is {record['lambda_max']}, but the estimates in eigenvalue.csv give {stated}"
    if record["converged"] != converged:
        yield f"converged is {record['converged']}, but eigenvalue.csv says {converged}"


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
    cost=lambda config, values, seconds: POWER_PRODUCTS * seconds("product", images_used(config, values["subset"])),
    problems=_problems,
)
