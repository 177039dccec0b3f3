"""Run reports: one parameterised notebook, executed by the build once for every stored run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import nbformat

from book.site.execution import Notebook, parse
from book.site.kept import read_kept
from qpatch.config import run_label
from qpatch.files import PROJECT, write_atomically
from qpatch.runs.profiles import profile_runs
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import stored_runs

SOURCE = PROJECT / "book" / "reports" / "report.md"
TITLE = "# Run report"  # of the source; each report has a title of its own
PARAMETER = 'run_id = ""'  # likewise, as for Papermill; each report's is its run
MARK = "qpatch_report"  # in the metadata of what is written here


def report_title(run: RunFolder) -> str:
    """What a run is, for headings and lists: qubits, patches, depth, and whether it is one of the paper's."""
    config = run.config
    kind = "Paper run" if config.is_paper_run else f"{config.n_qubits} qubits"
    title = f"{kind}: {run_label(config)}"
    if config.seed != type(config)().seed:
        title += f", seed {config.seed}"
    return title


def reported_runs(root: Path | None = None) -> list[RunFolder]:
    """The stored runs that have a report each: all but the profile ``seeds``, whose runs one page takes together."""
    seeds = profile_runs("seeds")
    return [run for run in stored_runs(root) if run.config not in seeds]


def report(run: RunFolder) -> Notebook:
    """The report of one run, not executed yet."""
    text = SOURCE.read_text(encoding="utf-8")
    for line, value in ((TITLE, f"# {report_title(run)}"), (PARAMETER, f'run_id = "{run.run_id}"')):
        if text.count(f"\n{line}\n") != 1:
            raise ValueError(f"{SOURCE} must hold the line {line!r} once")
        text = text.replace(f"\n{line}\n", f"\n{value}\n")
    return Notebook(report_file(run).relative_to(PROJECT).as_posix(), parse(text), SOURCE.parent)


def report_file(run: RunFolder) -> Path:
    """Where Sphinx finds a run's report."""
    return SOURCE.with_name(f"{run.run_id}.ipynb")


def write_report(executed: Path, target: Path) -> None:
    """Put an executed report where Sphinx finds it, marked as written here."""
    notebook = read_kept(executed)
    notebook.metadata[MARK] = True
    write_atomically(target, nbformat.writes(notebook).encode())


def remove_reports(wanted: Sequence[RunFolder], folder: Path = SOURCE.parent) -> None:
    """Delete the reports of all runs but the ``wanted`` ones; notebooks that were not written here stay."""
    names = {report_file(run).name for run in wanted}
    for file in folder.glob("*.ipynb"):
        if file.name not in names and _is_ours(file):
            file.unlink()


def _is_ours(file: Path) -> bool:
    try:
        return MARK in json.loads(file.read_text(encoding="utf-8"))["metadata"]
    except (ValueError, KeyError, TypeError):
        return False
