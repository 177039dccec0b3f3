"""Run reports: one parameterised notebook, executed by Papermill once for every stored run when the book is built."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jupytext
import papermill

from qpatch.config import run_label
from qpatch.files import PROJECT
from qpatch.runs import sweep
from qpatch.runs.profiles import profile_runs
from qpatch.runs.store import RunFolder
from qpatch.runs.stored import stored_runs

SOURCE = PROJECT / "book" / "reports" / "report.md"
TITLE = "# Run report"  # of the source; each report has a title of its own


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


def render_reports(runs: Sequence[RunFolder], workers: int | None = None) -> list[Path]:
    """Execute the report of every one of the runs, ``book/reports/<run id>.ipynb``, and return the files.

    Reports of runs that are no longer there are removed. ``workers`` notebooks run at a time, by default as in a sweep.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the executed notebook stays for inspection.
    """
    targets = [SOURCE.with_name(f"{run.run_id}.ipynb") for run in runs]
    for stale in set(SOURCE.parent.glob("*.ipynb")) - set(targets):
        stale.unlink()
    workers, threads = sweep.share_processors(len(runs), workers)
    with sweep.environment(dict.fromkeys(sweep.THREAD_VARIABLES, str(threads))), ThreadPoolExecutor(workers) as pool:
        return list(pool.map(render_report, runs, targets))


def render_report(run: RunFolder, target: Path) -> Path:
    """Execute the report of one run into ``target``."""
    text = SOURCE.read_text(encoding="utf-8")
    if text.count(TITLE + "\n") != 1:
        raise ValueError(f"{SOURCE} must hold the line {TITLE!r} once")
    notebook = jupytext.reads(text.replace(TITLE, f"# {report_title(run)}"), fmt="md:myst")
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "report.ipynb"
        jupytext.write(notebook, plain)
        executed = papermill.execute_notebook(
            str(plain), str(target), parameters={"run_id": run.run_id}, kernel_name="python3",
            cwd=str(SOURCE.parent), progress_bar=False,
        )  # fmt: skip
    executed.metadata.pop("papermill")  # paths of this machine, which are no reader's business
    for cell in executed.cells:
        cell.metadata.pop("papermill", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")  # the page says which run it is
    jupytext.write(executed, target, fmt="ipynb")
    return target
