"""Runs epoch by epoch and at equal size: our history beside the author's log, leaps of the loss, runs of like size."""

from __future__ import annotations

import pandas as pd

from qpatch.runs.published import reference_table
from qpatch.runs.store import RunFolder

NEAR = 0.18  # numbers of parameters within this fraction of one another are drawn together


def beside_author(run: RunFolder) -> pd.DataFrame:
    """A run's history from epoch 0, with the author's ``author_test_loss`` and ``author_test_accuracy``.

    These are NaN where the author published no log (3 of the 12 configurations) and for a run that is not the paper's.
    """
    history = run.history().query("epoch >= 0")
    published = reference_table("epochs")
    if not run.config.is_paper_run:
        published = published.iloc[:0]
    same = (published["stride"] == run.config.stride) & (published["depth"] == run.config.depth)
    columns = ["epoch", "test_loss", "test_accuracy"]
    return history.merge(published.loc[same, columns].set_index("epoch").add_prefix("author_"), "left", on="epoch")


def leaps(table: pd.DataFrame, column: str = "test_loss", factor: float = 3.0) -> pd.DataFrame:
    """The epochs after which a loss is more than so many times what it was one epoch earlier.

    Args:
        table: one row an epoch, in order.
        column: the loss.
        factor: how much of a rise counts.

    Returns:
        The rows of these epochs, with ``rise``, the factor.
    """
    rise = table[column] / table[column].shift()
    return table.assign(rise=rise)[rise > factor]


def of_size(table: pd.DataFrame, n_parameters: int, within: float = NEAR) -> pd.DataFrame:
    """The rows of a summary whose number of parameters lies within a fraction of a given one, fewest patches first."""
    near = (table["n_parameters"] / n_parameters - 1).abs() <= within
    return table[near].sort_values(["n_patches", "depth"])
