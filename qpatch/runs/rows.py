"""The finished rows of a grid, kept in a run's cache so that a killed grid goes on after them."""

from __future__ import annotations

import time

import numpy as np
import torch

from qpatch.files import read_tensors
from qpatch.runs.store import RunFolder


class GridRows:
    """Rows in a file of the run, with the arrays that tell which grid they belong to: axes, plane, number of images.

    Attributes:
        earlier: seconds that the rows `load` has found took, in the calls that computed them.
    """

    def __init__(self, run: RunFolder, name: str, belongs_to: dict[str, np.ndarray]):
        self.run, self.name = run, name
        self.belongs_to = {key: torch.from_numpy(np.ascontiguousarray(values)) for key, values in belongs_to.items()}
        self.earlier, self.began = 0.0, time.perf_counter()

    def save(self, rows: np.ndarray) -> None:
        """Keep all rows ``(rows, columns)`` finished so far."""
        seconds = torch.tensor(self.earlier + time.perf_counter() - self.began, dtype=torch.float64)
        self.run.write_tensors(self.name, {"rows": torch.from_numpy(rows), "seconds": seconds, **self.belongs_to})

    def load(self) -> np.ndarray | None:
        """The kept rows; None where there are none, or where they belong to another grid."""
        file = self.run.file(self.name)
        if not file.exists():
            return None
        kept = read_tensors(file)
        # Another number of threads moves the plane by rounding, another grid or margin by far more.
        if not all(key in kept and _alike(kept[key], values) for key, values in self.belongs_to.items()):
            return None
        self.earlier = float(kept.get("seconds", 0.0))
        return kept["rows"].numpy()


def _alike(kept: torch.Tensor, values: torch.Tensor) -> bool:
    return kept.shape == values.shape and torch.allclose(kept, values, rtol=1e-6, atol=1e-6)
