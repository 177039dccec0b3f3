"""What a stage keeps until it is finished: a checkpoint, rows of a grid, products. A killed stage goes on after it.

It lies in one folder of the run's cache, under a stamp that says what it belongs to. What belongs to something else
(other parameters, parameters of the model, images or code), or was altered, is set aside and computed again.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import lazy_loader

from qpatch.files import Kept, set_aside, write_atomically

np, torch = (lazy_loader.load(name) for name in ("numpy", "torch"))


class Progress(Kept):
    """The folder of one stage of one run."""

    def __init__(self, folder: Path, stamp: dict):
        super().__init__(folder, (json.dumps(stamp, indent=2, sort_keys=True) + "\n").encode())
        stamped = folder / "stamp.json"
        if folder.exists() and not (stamped.is_file() and stamped.read_bytes() == self.stamp):
            set_aside(folder, "belongs to something else")
        if not stamped.exists():
            write_atomically(stamped, self.stamp)

    def close(self) -> None:
        """The stage is finished: what it kept is of no more use."""
        shutil.rmtree(self.folder, ignore_errors=True)


class GridRows:
    """The finished rows of a grid, kept under a name with the arrays that tell which grid they are of: axes, plane.

    ``earlier`` is the seconds that the rows `load` has found took, in the calls that computed them.
    """

    def __init__(self, kept: Kept, name: str, belongs_to: dict[str, np.ndarray]):
        self.kept, self.name = kept, name
        self.belongs_to = {key: torch.tensor(values) for key, values in belongs_to.items()}
        self.earlier, self.began = 0.0, time.perf_counter()

    def save(self, rows: np.ndarray) -> None:
        """Keep all rows ``(rows, columns)`` finished so far."""
        seconds = torch.tensor(self.earlier + time.perf_counter() - self.began, dtype=torch.float64)
        self.kept.write(self.name, {"rows": torch.from_numpy(rows), "seconds": seconds, **self.belongs_to})

    def load(self) -> np.ndarray | None:
        """The kept rows; None where there are none, or where they belong to another grid."""
        kept = self.kept.read(self.name)
        # Another number of threads moves the plane by rounding, another grid or margin by far more.
        if kept is None or not all(_alike(kept[key], values) for key, values in self.belongs_to.items()):
            return None
        self.earlier = float(kept["seconds"])
        return kept["rows"].numpy()


def _alike(kept: torch.Tensor, values: torch.Tensor) -> bool:
    return kept.shape == values.shape and torch.allclose(kept, values, rtol=1e-6, atol=1e-6)
