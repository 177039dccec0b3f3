"""Tables made from stored results, as files beside them: where they are, how they are written and read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qpatch.runs.store import results_folder


def table_file(name: str, root: Path | None = None) -> Path:
    """Where a table is: ``<results>/tables/<name>.csv``."""
    return (root or results_folder()) / "tables" / f"{name}.csv"


def table_bytes(table: pd.DataFrame) -> bytes:
    """The file's contents, nine digits a number: the same results give the same bytes."""
    return table.to_csv(index=False, float_format="%.9g").encode()


def read_table(name: str, root: Path | None = None) -> pd.DataFrame:
    """A table as it was last written; empty where there is none."""
    file = table_file(name, root)
    return pd.read_csv(file) if file.is_file() else pd.DataFrame()
