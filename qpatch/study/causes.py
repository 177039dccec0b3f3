"""What flattens: curvature at the best epoch and at equal training loss, and how much of a fall a control leaves.

The rules are those of the plan of analysis (`book/replication/plan.md`).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from qpatch.runs.stages.flatness import crossings
from qpatch.runs.store import RunFolder
from qpatch.study.inference import LEVEL, Test

CURVATURES = ("hessian_max", "hessian_trace", "gauss_newton_max", "gauss_newton_trace")
POINTS = ("best", "last", "first")  # of a run: its best epoch, the last and the first crossing of the loss


def flatness_table(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """A row a run and point of `POINTS`, with the logarithms of `CURVATURES`; a point that a run lacks has no row.

    At a crossing they are interpolated, linearly in the logarithm of the training loss, between the epochs beside it.
    Where a curvature is not positive its logarithm is NaN.
    """
    rows = []
    for run in runs:
        config, loss = run.config, run.record("flatness")["parameters"]["loss"]
        losses, best = run.history()["train_loss"].to_numpy(), run.record("train")["best_epoch"]
        table = run.table("flatness.csv").set_index("epoch")[list(CURVATURES)]
        logs = np.log(table.where(table > 0))
        points = {"best": logs.loc[best]}
        for which, row in crossings(losses, loss, best + 1).items():
            before, after = np.log(losses[row : row + 2])
            way = (before - np.log(loss)) / (before - after)
            points[which] = (1 - way) * logs.loc[row - 1] + way * logs.loc[row]
        named = {"run_id": run.run_id, "n_patches": config.n_patches, "depth": config.depth, "seed": config.seed}
        rows += [named | {"point": point} | values.to_dict() for point, values in points.items()]
    return pd.DataFrame(rows)


def share_left(plain: np.ndarray, control: np.ndarray) -> Test:
    """The share of a fall that a control leaves: of the logarithms' falls over the same seeds, ``(seeds,)`` each.

    The mean fall of the control over that of the plain runs; the interval is that of the difference of the two falls,
    by Student's t over the seeds, divided by the mean plain fall, around it.

    Raises:
        ValueError: fewer than two seeds, other seeds in the control, or a mean plain fall that is not positive.
    """
    plain, control = np.asarray(plain, float), np.asarray(control, float)
    if plain.shape != control.shape or len(plain) < 2 or not plain.mean() > 0:
        raise ValueError(f"falls {plain} and {control}; two or more of the same seeds are needed, falling where plain")
    difference, n = (control - plain) / plain.mean(), len(plain)
    share, error = 1 + float(difference.mean()), float(difference.std(ddof=1) / n**0.5)
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * error
    return Test("share left", share, share - half, share + half, n=(n,), error=error, freedom=n - 1)


def read_share(test: Test) -> str:
    """'all', 'nothing', 'a part' or 'undecided', by whether the interval of a share holds 1 and 0."""
    all_left, nothing_left = (test.low <= value <= test.high for value in (1, 0))
    if all_left == nothing_left:
        return "undecided" if all_left or not 0 < test.low < test.high < 1 else "a part"
    return "all" if all_left else "nothing"
