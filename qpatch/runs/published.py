"""The author's published numbers."""

from __future__ import annotations

import lazy_loader

from qpatch.config import RunConfig
from qpatch.files import in_project

pd = lazy_loader.load("pandas")

PARTED = 1e-4  # of a loss: the bar that the first epoch has to meet, ten times the author's last printed digit


def reference_table(name: str) -> pd.DataFrame:
    """The author's published numbers: 'runs', with the sums and spans that `summary` has, 'epochs' or 'first_epoch'."""
    table = pd.read_csv(in_project("data", "reference", f"author_{name}.csv"))
    if name == "runs":
        table["pc_ratio"] = table["pc1_ratio"] + table["pc2_ratio"]
        for axis in ("pc1", "pc2"):
            table[f"{axis}_span"] = table[f"trajectory_{axis}_max"] - table[f"trajectory_{axis}_min"]
    return table


def of_run(name: str, config: RunConfig) -> pd.DataFrame:
    """The rows of a reference table that belong to a configuration."""
    table = reference_table(name)
    return table[(table["stride"] == config.stride) & (table["depth"] == config.depth)]
