"""What a reader takes away without the repository: the project's sources and the stored results, an archive each."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from qpatch.files import PROJECT
from qpatch.runs.store import results_folder

FOLDER = "archives"  # in the site
SOURCES, RESULTS = "qpatch-sources.zip", "qpatch-results.zip"
PASSING = {".git", ".venv", ".venv-cluster", ".snakemake", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"}
PASSING |= {"__pycache__", "_build", "cache"}


def write_archives(site: Path, project: Path = PROJECT, results: Path | None = None) -> None:
    """Write both into the folder ``archives`` of a site; each unpacks into a folder ``qpatch`` with the other."""
    results = results or results_folder()
    lasting = [path for path in files(project) if not path.is_relative_to(results)]
    folder = site / FOLDER
    folder.mkdir(exist_ok=True)
    _write(folder / SOURCES, ((path, path.relative_to(project)) for path in lasting))
    _write(folder / RESULTS, ((path, Path("data/results") / path.relative_to(results)) for path in files(results)))


def files(folder: Path) -> list[Path]:
    """All files below a folder but those of tools, caches and what a build makes, in order."""
    found = (path for path in folder.rglob("*") if not PASSING & {*path.relative_to(folder).parts})
    made = ("*.part", "*.lock", "*.egg-info/*", "book/reports/*.ipynb")
    return sorted(path for path in found if path.is_file() and not any(path.match(pattern) for pattern in made))


def _write(target: Path, entries: Iterable[tuple[Path, Path]]) -> None:
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for path, name in entries:
            archive.write(path, Path("qpatch") / name)
