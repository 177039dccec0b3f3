"""What a run's landscape picture shows: its grid's spacing, the ground it covers, and what a random walk would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qpatch.landscape.grid import CONTOUR_STEP
from qpatch.runs.store import RunFolder


def resolution(run: RunFolder) -> dict[str, float]:
    """What a run's picture could show of its sharpest direction, in parameter units.

    ``step`` is the larger spacing of the grid; ``half_width`` how far along the top eigenvector the loss rises by one
    contour, ``sqrt(2 * 0.5 / lambda_max)`` in the quadratic approximation; NaN without an eigenvalue.
    """
    landscape, record = run.landscape(), run.record("hessian")
    step = max(float(np.diff(axis).max()) for axis in (landscape.x, landscape.y))
    curvature = record["lambda_max"] if record else np.nan
    return {"step": step, "half_width": float(np.sqrt(2 * CONTOUR_STEP / curvature))}


def curvature_shares(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """What the principal plane and a random one hold, in per cent, a row for each run whose slices are stored.

    Of the path's variance, and of the Hessian's trace, of which a random plane of n parameters holds 2 / n on average.
    """
    rows = []
    for run in runs:
        if run.state("slices") != "done":
            continue
        planes = run.record("slices")["planes"]
        row = {}
        for name in ("principal", "random"):
            held = planes[name]
            row |= {f"Path, {name}": 100 * sum(held["ratios"]), f"Trace, {name}": 100 * held["of_trace"]}
        rows.append(row)
    return pd.DataFrame(rows)
