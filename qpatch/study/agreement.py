"""Full runs held against the author's published numbers: absolute differences, units of the last digit, the parting.

Nothing here is tuned: the bar that decides where two runs part is the one that the first epoch has to meet.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from qpatch.files import in_project
from qpatch.runs.published import PARTED, of_run, reference_table
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import summary

COLUMNS = (
    "run_id", "stride", "n_patches", "depth", "source", "quantity", "at", "published", "ours", "difference", "unit",
    "units",
)  # fmt: skip
PARTINGS = (
    "run_id", "n_patches", "depth", "first_epoch", "published_epochs", "parting", "before", "reported",
    "reported_apart",
)  # fmt: skip
TABLES = {
    "Table 1": ("best_epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"),
    "Table 3": ("lambda_max",),
    "Table 4": ("pc1_ratio", "pc2_ratio"),
}
EXTENTS = ("trajectory_pc1_min", "trajectory_pc1_max", "trajectory_pc2_min", "trajectory_pc2_max")


def published_units(name: str) -> pd.DataFrame:
    """One unit of the last published digit, for every number of a reference table.

    As many decimals as the column shows at most, but not finer than float32, in which the author computed.
    """
    texts = pd.read_csv(in_project("data", "reference", f"author_{name}.csv"), dtype=str)
    values = reference_table(name)
    units = {}
    for column in texts:
        decimals = texts[column].dropna().str.extract(r"\.(\d+)$", expand=False).fillna("").str.len().max()
        resolved = np.spacing(values[column].abs().to_numpy(np.float32)).astype(float)
        units[column] = np.maximum(10.0**-decimals, resolved if decimals else 0)
    return pd.DataFrame(units)


def agreement_table(runs: Sequence[RunFolder]) -> pd.DataFrame:
    """Every published number of the full runs among ``runs``, beside ours: long, with the columns `COLUMNS`.

    ``at`` is the iteration of the first epoch, or the epoch; missing for what is reported once a run.
    """
    parts = [run_agreement(run) for run in runs if run.config.is_paper_run]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def run_agreement(run: RunFolder) -> pd.DataFrame:
    """The rows of `agreement_table` of one full run."""
    iterations = run.iterations().query("epoch == 0").set_index("iteration")
    rows = _series(run, "first_epoch", "iteration", iterations, {"train_loss": "loss", "train_accuracy": "accuracy"})
    history = run.history().set_index("epoch")
    rows += _series(run, "epochs", "epoch", history, {"test_loss": "test_loss", "test_accuracy": "test_accuracy"})
    published, unit = (frame.iloc[0] for frame in _published(run, "runs"))
    ours = summary([run]).iloc[0]
    for source, quantities in TABLES.items():
        rows += [_row(source, name, None, published, ours[name], unit) for name in quantities]
    rows += _extents(run, published, unit)
    frame = pd.DataFrame(rows).dropna(subset=["published", "ours"])
    config = run.config
    frame = frame.assign(run_id=run.run_id, stride=config.stride, n_patches=config.n_patches, depth=config.depth)
    frame["difference"] = (frame["ours"] - frame["published"]).abs()
    frame["units"] = frame["difference"] / frame["unit"]
    return frame.astype({"at": "Int64"})[list(COLUMNS)]


def _published(run: RunFolder, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The run's rows of a reference table, and the units of their numbers."""
    published = of_run(name, run.config)
    return published, published_units(name).loc[published.index]


def _row(source: str, quantity: str, at: int | None, published: pd.Series, ours: float, unit: pd.Series) -> dict:
    values = {"published": published[quantity], "ours": float(ours), "unit": unit[quantity]}
    return {"source": source, "quantity": quantity, "at": at} | values


def _series(run: RunFolder, name: str, index: str, ours: pd.DataFrame, columns: dict[str, str]) -> list[dict]:
    published, units = _published(run, name)
    return [
        _row(name, theirs, row[index], row, ours.loc[row[index], mine], unit)
        for theirs, mine in columns.items()
        for (_, row), (_, unit) in zip(published.iterrows(), units.iterrows(), strict=True)
    ]


def _extents(run: RunFolder, published: pd.Series, unit: pd.Series) -> list[dict]:
    """Extent of the projected path, each axis turned the way that fits the author's better: its sign is arbitrary."""
    if run.state("landscape") != "done":
        return []
    landscape, rows = run.landscape(), []
    for axis in (0, 1):
        names = EXTENTS[2 * axis : 2 * axis + 2]
        coordinates = landscape.trajectory[:, axis]
        ways = [(coordinates.min(), coordinates.max()), (-coordinates.max(), -coordinates.min())]
        ours = min(ways, key=lambda way: sum(abs(value - published[n]) for n, value in zip(names, way, strict=True)))
        rows += [_row("landscape", name, None, published, value, unit) for name, value in zip(names, ours, strict=True)]
    if len(landscape.x) > 2:  # a grid, not the corners alone
        rows.append(_row("landscape", "landscape_max_loss", None, published, landscape.loss.max(), unit))
    return rows


def parting_epoch(table: pd.DataFrame, bar: float = PARTED) -> int | None:
    """The first epoch whose published and own test losses, ``(at, difference)``, differ by more than ``bar``."""
    apart = table.loc[table["difference"] > bar, "at"]
    return None if apart.empty else int(apart.min())


def run_partings(table: pd.DataFrame, bar: float = PARTED) -> pd.DataFrame:
    """A row a full run of an agreement table: worst difference in epoch 0, parting, worst before it.

    ``parting`` is missing where the author's test losses are not published, or where the runs never part;
    ``published_epochs`` tells the two apart. Table 1 has every run's test loss at its best epoch: where both runs
    have the same, ``reported`` is that epoch, and ``reported_apart`` says whether the losses differ by more than
    ``bar``.
    """
    rows = []
    for key, group in table.groupby(["run_id", "n_patches", "depth"], sort=False):
        first = group.query("source == 'first_epoch' and quantity == 'train_loss'")["difference"]
        epochs = group.query("source == 'epochs' and quantity == 'test_loss'")
        parted = parting_epoch(epochs, bar)
        together = epochs if parted is None else epochs[epochs["at"] < parted]
        table_1 = group.query("source == 'Table 1'").set_index("quantity")
        best, loss = table_1.loc["best_epoch"], table_1.loc["test_loss", "difference"]
        reported = None if best["difference"] else int(best["ours"])
        rows.append((*key, first.max(), len(epochs), parted, together["difference"].max(), reported, loss > bar))
    return pd.DataFrame(rows, columns=list(PARTINGS)).astype({"parting": "Int64", "reported": "Int64"})
