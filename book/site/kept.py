"""Outputs of executed notebooks, shown again for as long as nothing has changed that decided about them.

What decides about an output, and how a change of it is noticed:

* The package and what stands beside it (`COVERED`), data and results less the runs' caches, which no page reads; the
  versions of Python and of everything that is installed; the variables ``QPATCH_*``. All together have one digest, the
  foundation, which names the folder of what is kept. Folders of other foundations are deleted. If it is another one
  after the notebooks have run than before, somebody changed a file meanwhile: everything executed for it is forgotten,
  and the build fails.
* A notebook's place and the code of its cells: the name of the file that keeps its outputs is made from them.
* Other files and folders of the project that it reads as it runs, such as the chapters that the list of exercises is
  made from. Its kernel notes them (`book.site.witness`); they are kept beside its outputs, each with a digest.
* Whatever a process reads that a notebook starts, such as git: a notebook that starts one is executed in every build.

Text and captions are not kept: they are read from the chapter each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterable
from importlib.metadata import distributions
from pathlib import Path

import nbformat

from book.site.witness import STARTED
from qpatch.data import data_folder
from qpatch.files import PROJECT, sha256, write_atomically
from qpatch.runs.store import results_folder

KEPT = PROJECT / "_build" / "kept"
# Folders that every notebook may depend on.
COVERED = ("qpatch", "book/checks", "book/oracles", "book/show", "book/site", "benchmarks", "data")
UNREAD = {"__pycache__", "cache"}  # folders within these that no page reads
PASSING = (".ipynb", ".part", ".lock")  # files that come and go, likewise
WITHOUT_READING = {"pandoc"}  # processes: Jupytext asks for its version when it is imported


def foundation() -> str:
    """Digest of everything that every notebook may depend on; see above."""
    elsewhere = [results_folder(), data_folder("")]
    digest = hashlib.sha256()
    for name in sorted(name for name in os.environ if name.startswith("QPATCH_")):
        digest.update(f"{name}={os.environ[name]}\n".encode())
    for line in sorted({f"{found.name}=={found.version}" for found in distributions()}):
        digest.update(f"{line}\n".encode())
    digest.update(f"{platform.python_version()} {platform.platform()}\n".encode())
    folders = [*(PROJECT / name for name in COVERED), *elsewhere]
    for path in sorted({path for folder in folders for path in folder.rglob("*")}):
        if path.is_file() and not UNREAD & {*path.parts} and path.suffix not in PASSING:
            digest.update(f"{os.path.relpath(path, PROJECT)} {sha256(path)}\n".encode())
    return digest.hexdigest()


class Kept:
    """The outputs kept for one foundation, in a folder that holds nothing else.

    Args:
        digest: of the foundation.
        folder: of all foundations, by default the book's; what it keeps for others is deleted.
    """

    def __init__(self, digest: str, folder: Path | None = None):
        folder = folder or KEPT
        self.path = folder / digest
        for other in folder.glob("*/"):
            if other != self.path:
                shutil.rmtree(other)

    def file(self, place: str, cells: Iterable[str]) -> Path:
        """Where the outputs of a notebook are: by its place in the project and the code of its cells."""
        key = hashlib.sha256(json.dumps([place, *cells]).encode()).hexdigest()
        return self.path / f"{Path(place).stem}-{key}.ipynb"

    def save(self, file: Path, executed: nbformat.NotebookNode, witnessed: Iterable[str]) -> None:
        """Keep a notebook, with what its witness saw."""
        executed.metadata["witnessed"] = {line: _state(line) for line in witnessed if not _is_covered(line)}
        write_atomically(file, nbformat.writes(executed).encode())

    def is_current(self, file: Path) -> bool:
        """Whether a notebook is kept that would show the same if it were executed now."""
        try:
            witnessed = json.loads(file.read_text(encoding="utf-8"))["metadata"]["witnessed"]
        except (OSError, ValueError, KeyError, TypeError):  # not there, damaged, of another make
            return False
        return all(state is not None and _state(line) == state for line, state in witnessed.items())

    def forget(self) -> None:
        """Delete everything that is kept for this foundation."""
        shutil.rmtree(self.path, ignore_errors=True)


def read_kept(file: Path) -> nbformat.NotebookNode:
    """A notebook that is kept, as it was executed."""
    notebook = nbformat.read(file, as_version=4)
    del notebook.metadata["witnessed"]
    return notebook


def _is_covered(line: str) -> bool:
    """Whether the foundation tells of a change already, or nothing that is read could change."""
    if line.startswith(STARTED):
        return line.removeprefix(STARTED) in WITHOUT_READING
    if line.startswith("."):  # the project's own folder, which every import lists, and hidden ones, such as .venv
        return True
    return any(Path(line).is_relative_to(folder) for folder in COVERED)


def _state(line: str) -> str | None:
    """Digest of a file, or a folder's list; None for what cannot be judged later: a process."""
    if line.startswith(STARTED):
        return None
    path = PROJECT / line
    if path.is_dir():
        return " ".join(sorted(one.name for one in path.iterdir() if _is_lasting(one)))
    return sha256(path) if path.is_file() else "missing"


def _is_lasting(path: Path) -> bool:
    return not path.name.startswith((".", "_")) and path.suffix not in PASSING
