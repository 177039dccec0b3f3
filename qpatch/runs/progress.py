"""What a stage keeps until it is finished: a checkpoint, rows of a grid, products. A killed stage goes on after it.

It lies in one folder of the run's cache, under a stamp that says what it belongs to. What belongs to something else
(other parameters, parameters of the model, images or code) is set aside under another name, and computed again.
"""

from __future__ import annotations

import itertools
import json
import shutil
import time
from pathlib import Path

import lazy_loader

from qpatch.files import read_tensors, write_atomically, write_tensors

np, torch = (lazy_loader.load(name) for name in ("numpy", "torch"))


class Progress:
    """The folder of one stage of one run."""

    def __init__(self, folder: Path, stamp: dict):
        self.folder, stamped = folder, folder / "stamp.json"
        contents = (json.dumps(stamp, indent=2, sort_keys=True) + "\n").encode()
        if folder.exists() and not (stamped.is_file() and stamped.read_bytes() == contents):
            names = (folder.with_name(f"{folder.name}.aside-{number}") for number in itertools.count(1))
            aside = folder.rename(next(name for name in names if not name.exists()))
            print(f"what was kept in {folder.name} belongs to something else; it is now {aside}, and computed again")
        if not stamped.exists():
            write_atomically(stamped, contents)

    def file(self, name: str) -> Path:
        return self.folder / name

    def close(self) -> None:
        """The stage is finished: what it kept is of no more use."""
        shutil.rmtree(self.folder, ignore_errors=True)


class GridRows:
    """The finished rows of a grid, in a file with the arrays that tell which grid they belong to: axes, plane.

    ``earlier`` is the seconds that the rows `load` has found took, in the calls that computed them.
    """

    def __init__(self, file: Path, belongs_to: dict[str, np.ndarray]):
        self.file = file
        self.belongs_to = {key: torch.tensor(values) for key, values in belongs_to.items()}
        self.earlier, self.began = 0.0, time.perf_counter()

    def save(self, rows: np.ndarray) -> None:
        """Keep all rows ``(rows, columns)`` finished so far."""
        seconds = torch.tensor(self.earlier + time.perf_counter() - self.began, dtype=torch.float64)
        write_tensors(self.file, {"rows": torch.from_numpy(rows), "seconds": seconds, **self.belongs_to})

    def load(self) -> np.ndarray | None:
        """The kept rows; None where there are none, or where they belong to another grid."""
        if not self.file.exists():
            return None
        kept = read_tensors(self.file)
        # Another number of threads moves the plane by rounding, another grid or margin by far more.
        if not all(key in kept and _alike(kept[key], values) for key, values in self.belongs_to.items()):
            return None
        self.earlier = float(kept.get("seconds", 0.0))
        return kept["rows"].numpy()


def _alike(kept: torch.Tensor, values: torch.Tensor) -> bool:
    return kept.shape == values.shape and torch.allclose(kept, values, rtol=1e-6, atol=1e-6)
