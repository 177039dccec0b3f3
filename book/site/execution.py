"""The notebooks of the book, chapters and run reports, executed side by side on all cores before Sphinx starts.

Sphinx executes none itself: it reads a chapter by `read`, with the outputs that this module has left for it. What is
kept of an earlier build is not executed again; `book.site.kept` says what that takes.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import nbformat
import yaml
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from myst_parser.config.main import MdParserConfig
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from book.site import witness
from book.site.kept import Kept, foundation
from book.site.nursery import Nursery, is_possible
from qpatch.files import PROJECT
from qpatch.runs import sweep
from qpatch.runs.costs import duration

# Before the first cell, unseen by it; the kernel's own warnings are not about the notebook.
WITNESS = f"__import__('runpy').run_path({witness.__file__!r});"
KERNEL_ARGUMENTS = [f"--IPKernelApp.exec_lines={WITNESS}", "--log-level=50"]
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NEWS_SECONDS = 10  # at least between two lines of progress


class ExecutionError(RuntimeError):
    """Notebooks that failed; the message names each with its cell and error."""


@dataclass(frozen=True)
class Notebook:
    """A notebook to execute: its place in the project (what errors name), its cells, the folder of its kernel."""

    place: str
    cells: nbformat.NotebookNode
    folder: Path

    @property
    def code(self) -> list[str]:
        return [cell.source for cell in self.cells.cells if cell.cell_type == "code"]


def chapter(path: Path) -> Notebook:
    """A chapter in MyST as a notebook."""
    return Notebook(path.relative_to(PROJECT).as_posix(), parse(path.read_text(encoding="utf-8")), path.parent)


def parse(text: str) -> nbformat.NotebookNode:
    """The cells of a page in MyST, as Sphinx sees them."""
    settings = yaml.safe_load((PROJECT / "_config.yml").read_text(encoding="utf-8"))["parse"]
    config = MdParserConfig(enable_extensions=set(settings["myst_enable_extensions"]))
    return read_myst_markdown_notebook(text, config, add_source_map=True)


def chapters(names: Iterable[str], excluded: Sequence[str]) -> list[Notebook]:
    """Those pages of a table of contents that are notebooks, less the patterns that are not to be executed."""
    found = []
    for path in (PROJECT / f"{name}.md" for name in names):
        barred = any(PurePosixPath(path.as_posix()).match(pattern) for pattern in excluded)
        if path.is_file() and not barred and is_myst_markdown_notebook(path.read_text(encoding="utf-8")):
            found.append(chapter(path))
    return found


def read(text: str, executed: str) -> nbformat.NotebookNode:
    """What Sphinx shows of a page in MyST: its text as it is, with the outputs from the file ``executed``.

    Raises:
        ValueError: the page's code is not what was executed.
    """
    page, done = parse(text), nbformat.read(executed, as_version=4)
    cells, outputs = ([cell for cell in one.cells if cell.cell_type == "code"] for one in (page, done))
    if [cell.source for cell in cells] != [cell.source for cell in outputs]:
        raise ValueError("a page was changed while the book was built; build it again")
    for cell, output in zip(cells, outputs, strict=True):
        cell.outputs, cell.execution_count = output.outputs, output.execution_count
    page.metadata |= {key: done.metadata[key] for key in ("language_info", "widgets") if key in done.metadata}
    return page


def execute(
    notebooks: Sequence[Notebook],
    timeout: int,
    report: Callable[[str], None],
    workers: int | None = None,
    folder: Path | None = None,
) -> list[Path]:
    """Execute the notebooks of which nothing current is kept; the files with the outputs of each, in order.

    Args:
        notebooks: of the whole book.
        timeout: seconds a cell.
        report: called with lines of progress.
        workers: notebooks at a time, by default one a processor.
        folder: of what is kept, another than the book's.

    Raises:
        ExecutionError: notebooks failed, or what they depend on changed meanwhile.
    """
    before = foundation()
    kept = Kept(before, folder)
    files = [kept.file(notebook.place, notebook.code) for notebook in notebooks]
    missing = [(notebook, file) for notebook, file in zip(notebooks, files, strict=True) if not kept.is_current(file)]
    report(f"{len(missing)} of {len(notebooks)} notebooks to execute")
    failures = _execute_all(missing, kept, timeout, workers, report)
    if foundation() != before:
        kept.forget()
        raise ExecutionError("package, data or results changed while the notebooks were executed; build the book again")
    if failures:
        raise ExecutionError("\n\n".join(failures))
    return files


def _execute_all(missing, kept: Kept, timeout: int, workers: int | None, report: Callable[[str], None]) -> list[str]:
    """Execute notebooks side by side, each in a process of its own; what there is to say of those that failed."""
    workers, threads = sweep.share_processors(len(missing), workers)
    stopped, began, done, said = threading.Event(), time.monotonic(), [], [0.0]

    def task(pair: tuple[Notebook, Path]) -> str:
        failure = _execute_one(*pair, kept, timeout, stopped, nursery)
        done.append(pair[0].place)
        passed = time.monotonic() - began
        if failure or len(done) == len(missing) or passed - said[0] > NEWS_SECONDS:
            said[0] = passed
            to_go = len(missing) - len(done)
            left = f", about {duration(passed / len(done) * to_go)} left" if to_go else ""
            outcome = failure.partition("\n")[0] or f"{pair[0].place} done"
            report(f"{outcome}; {len(done)} of {len(missing)} notebooks{left}")
        return failure

    variables = dict.fromkeys(sweep.THREAD_VARIABLES, str(threads))
    many = len(missing) > workers  # for fewer, the imports of the nursery gain nothing
    nurseries = Nursery() if is_possible() and many else contextlib.nullcontext()
    with environment(variables), nurseries as nursery, ThreadPoolExecutor(workers) as pool:
        try:
            return list(filter(None, pool.map(task, missing)))
        except BaseException:
            stopped.set()  # each notebook ends before its next cell
            raise


@contextlib.contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _execute_one(notebook: Notebook, file: Path, kept: Kept, timeout: int, stopped, nursery: Nursery | None) -> str:
    """Execute a notebook and keep it; an account of what failed, empty if nothing did."""
    at = [0]  # the cell that runs

    def begin(cell: nbformat.NotebookNode, cell_index: int) -> None:
        at[0] = cell_index
        if stopped.is_set():
            raise ExecutionError(f"{notebook.place} was interrupted")

    client = NotebookClient(
        nbformat.from_dict(notebook.cells), timeout=timeout, kernel_name="python3", on_cell_start=begin,
        resources={"metadata": {"path": str(notebook.folder)}}, extra_arguments=KERNEL_ARGUMENTS,
    )  # fmt: skip
    if nursery:
        nursery.provide(client)
    with tempfile.TemporaryDirectory() as folder:
        testimony = Path(folder) / "testimony"
        try:
            executed = client.execute(env=os.environ | {witness.VARIABLE: f"{PROJECT}{os.pathsep}{testimony}"})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            return _account(notebook, at[0], error)
        kept.save(file, executed, _lines(testimony))
    return ""


def _lines(testimony: Path) -> list[str]:
    lines = testimony.read_text(encoding="utf-8").splitlines() if testimony.exists() else []
    if lines[:1] != ["."]:  # a kernel without a witness may have read anything
        raise ExecutionError("a kernel started without the witness of what it reads; see book/site/witness.py")
    return lines


def _account(notebook: Notebook, cell: int, error: Exception) -> str:
    """Which cell of a notebook failed, where it is in the source, and how."""
    lines = notebook.cells.metadata.get("source_map", [])
    where = f", line {lines[cell]}" if len(lines) == len(notebook.cells.cells) else ""
    name = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else type(error).__name__
    return f"{notebook.place}: cell {cell + 1}{where} failed: {name}\n{COLOURS.sub('', str(error))}"
