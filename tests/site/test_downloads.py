"""The notebooks that readers download: complete, readable in plain Jupyter, and running outside the book."""

import ast

import nbformat
import pytest
from myst_nb.core.read import is_myst_markdown_notebook
from nbclient import NotebookClient

from book.site.exercises import exercises_of, pages
from qpatch.files import PROJECT

SITE = PROJECT / "_build" / "html"
SOURCES = SITE / "_sources"
NOTEBOOKS = sorted(path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.ipynb"))
EXECUTED = "book/paper/introduction.ipynb"  # by the build, too, but in the book's folder


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(SOURCES / name, as_version=4)


def to_type_in(cell) -> bool:
    return bool({"given", "stub", "check"} & set(cell.metadata.get("tags", [])))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_complete_and_names_its_kernel(name):
    notebook = read(name)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    cells = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    code = "\n".join(line for line in cells.split("\n") if not line.startswith("%"))  # magics are no Python
    modules = [node.module for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom) and node.module]
    assert {module.split(".")[0] for module in modules} & {"qpatch", "book"}


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if "/reports/mnist" not in name])
def test_text_of_chapters_needs_no_extension_of_jupyter(name):
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    for mark in ("```{", ":::", "{cite}", "{eq}", "{numref}", "{doc}", "{term}", "{ref}"):
        assert mark not in text
    assert "qpatch" in text


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_tells_nothing_of_the_machine_that_built_it(name):
    text = (SOURCES / name).read_text()
    assert str(SITE.parents[1]) not in text
    assert "papermill" not in read(name).metadata


def test_every_chapter_and_report_has_a_notebook():
    written = [page for page in pages() if is_myst_markdown_notebook(page.read_text())]
    reports = list(PROJECT.glob("book/reports/*-seed*.ipynb"))
    assert set(NOTEBOOKS) == {file.relative_to(PROJECT).with_suffix(".ipynb").as_posix() for file in written + reports}
    assert EXECUTED in NOTEBOOKS


@pytest.mark.parametrize("name", [name for name in NOTEBOOKS if "/notebooks/" not in name])
def test_notebook_is_executed(name):
    """Every cell in order, as the book shows it; those of the study are executed by `qpatch run`."""
    code = [cell for cell in read(name).cells if cell.cell_type == "code" and not to_type_in(cell)]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(cell.outputs for cell in code)


def test_every_exercise_has_a_place_to_type_in():
    for page in pages():
        exercises = [exercise for exercise in exercises_of(page) if exercise.check]
        cells = read(page.relative_to(PROJECT).with_suffix(".ipynb").as_posix()).cells if exercises else []
        stubs = {tag for cell in cells if to_type_in(cell) for tag in cell.metadata["tags"]}
        assert {exercise.label for exercise in exercises} <= stubs


def test_downloaded_notebook_runs_in_another_folder(tmp_path):
    notebook = read(EXECUTED)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}, extra_arguments=["--log-level=50"]
    )
    client.execute()  # raises CellExecutionError where a cell fails
    assert any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
