"""The author's published numbers."""

from __future__ import annotations

import pandas as pd

from qpatch.files import PROJECT


def reference_table(name: str) -> pd.DataFrame:
    """The author's published numbers: 'runs', with the sums and spans that `summary` has, 'epochs' or 'first_epoch'."""
    table = pd.read_csv(PROJECT / "data" / "reference" / f"author_{name}.csv")
    if name == "runs":
        table["pc_ratio"] = table["pc1_ratio"] + table["pc2_ratio"]
        for axis in ("pc1", "pc2"):
            table[f"{axis}_span"] = table[f"trajectory_{axis}_max"] - table[f"trajectory_{axis}_min"]
    return table
