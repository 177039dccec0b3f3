"""Notebooks for a course, made from the chapters: one for students and one for instructors a chapter with exercises.

A student notebook is the whole chapter in Markdown that Jupyter shows without extensions, with a stub in the place of
each solution's code and nothing in the place of its words. An instructor notebook is the chapter's exercises alone,
each with solution and self-check, executed. ``python -m book.site.course`` writes both (`make student`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.site.execution import ExecutionError, Notebook, execute
from book.site.exercises import LEVELS, YOUR_TEXT, Exercise, exercises_of, pages
from book.site.kept import read_kept
from book.site.myst import Labels, blocks, cell_figure, collect_labels, plain, plain_code
from qpatch.files import PROJECT, write_atomically

BUILD = PROJECT / "_build"
TIMEOUT = 300  # seconds a cell; on two free cores none takes more than 60, which the tests see to
SHOWN_TAGS = {"remove-input", "hide-input", "remove-cell"}  # of the book alone; here all code is shown


def student_notebook(page: Path, labels: Labels) -> nbformat.NotebookNode:
    """A chapter with its exercises, stubs in the place of solutions. Nothing of a solution is in it but the names."""
    exercises = {exercise.label: exercise for exercise in exercises_of(page)}
    cells = []
    for cell in jupytext.read(page, fmt="md:myst").cells:
        if cell.cell_type == "code":
            cells += _chapter_code(cell, page, labels)
            continue
        text = []  # what stands between two exercises goes into one cell
        for block in blocks(cell.source):
            if block.name == "{exercise}":
                cells += _texts(text, page, labels)
                text = []
                cells += student_cells(exercises[block.options["label"]], labels)
            elif block.name != "{solution}":
                text.append(block.source)
        cells += _texts(text, page, labels)
    return _notebook(cells)


def instructor_notebook(page: Path, labels: Labels) -> nbformat.NotebookNode:
    """A chapter's exercises with their solutions and self-checks, not executed yet."""
    title = labels.titles[page.resolve()]
    cells = [new_markdown_cell(f"# {title}: solutions\n\nFor instructors. Please do not hand this file to students.")]
    for exercise in exercises_of(page):
        cells += instructor_cells(exercise, labels)
    return _notebook(cells)


def student_cells(exercise: Exercise, labels: Labels) -> list[nbformat.NotebookNode]:
    """Statement, given code, stub, self-check."""
    cells = _question(exercise, labels)
    if exercise.solution:
        cells.append(_code(exercise.stub, exercise, "stub"))
    if exercise.check:
        cells.append(_code(exercise.check, exercise, "check"))
    return [*cells, new_markdown_cell(YOUR_TEXT)]


def instructor_cells(exercise: Exercise, labels: Labels) -> list[nbformat.NotebookNode]:
    """Statement, given code, solution in words and code, self-check."""
    cells = [*_question(exercise, labels), new_markdown_cell("**Solution**")]
    cells += _parts(exercise.answer, exercise, "solution", labels)
    if exercise.check:
        cells.append(_code(exercise.check, exercise, "check"))
    return cells


def write(kind: str, folder: Path) -> list[Path]:
    """Write the notebooks of one kind, 'student' or 'instructor', the latter executed; returns their paths.

    Raises:
        ExecutionError: solutions failed; the message names all of them.
    """
    book = [page for page in pages() if exercises_of(page)]
    labels = collect_labels(pages())
    make = {"student": student_notebook, "instructor": instructor_notebook}[kind]
    notebooks = [make(page, labels) for page in book]
    if kind == "instructor":
        places = [f"solutions of {page.relative_to(PROJECT)}" for page in book]
        solutions = [Notebook(place, cells, PROJECT) for place, cells in zip(places, notebooks, strict=True)]
        notebooks = [read_kept(file) for file in execute(solutions, TIMEOUT, print)]
    paths = [folder / f"{number:02d}-{page.stem}.ipynb" for number, page in enumerate(book, start=1)]
    for path, notebook in zip(paths, notebooks, strict=True):
        write_atomically(path, nbformat.writes(notebook).encode())
    return paths


def _question(exercise: Exercise, labels: Labels) -> list[nbformat.NotebookNode]:
    head = f"### {exercise.level}: {exercise.title}\n\n*Takes {LEVELS[exercise.level]}.*"
    return [new_markdown_cell(head), *_parts(exercise.question, exercise, "given", labels)]


def _parts(parts, exercise: Exercise, tag: str, labels: Labels) -> list[nbformat.NotebookNode]:
    return [
        _code(lines, exercise, tag) if kind == "code" else new_markdown_cell(plain(lines, exercise.page, labels))
        for kind, lines in parts
    ]


def _code(lines: str, exercise: Exercise, tag: str) -> nbformat.NotebookNode:
    return new_code_cell(lines, metadata={"tags": [tag, exercise.label]})


def _texts(text: list[str], page: Path, labels: Labels) -> list[nbformat.NotebookNode]:
    return [new_markdown_cell(plain("\n\n".join(text), page, labels))] if text else []


def _chapter_code(cell, page: Path, labels: Labels) -> list[nbformat.NotebookNode]:
    """The chapter's own code, words for references in it, and the caption of its figure, which only the book places."""
    tags = [tag for tag in cell.metadata.get("tags", []) if tag not in SHOWN_TAGS]
    cells = [new_code_cell(plain_code(cell.source, page, labels), metadata={"tags": tags} if tags else {})]
    figure = cell_figure(cell)
    if figure.get("caption"):
        number = labels.texts[figure["name"]][0].capitalize()
        cells.append(new_markdown_cell(f"**{number}.** {plain(figure['caption'], page, labels)}"))
    return cells


def _notebook(cells: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03d}"  # the same notebook every time
    return new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m book.site.course", description="Write a course's notebooks.")
    parser.add_argument("kinds", nargs="*", metavar="student|instructor", help="both, if none is named")
    parser.add_argument("--into", type=Path, default=BUILD, help="folder that gets the folders student and instructor")
    options = parser.parse_args(arguments)
    kinds = options.kinds or ["student", "instructor"]
    if unknown := [kind for kind in kinds if kind not in ("student", "instructor")]:
        parser.error(f"{unknown[0]!r} is no kind of notebook; name student or instructor, or neither for both")
    for kind in kinds:
        try:
            written = write(kind, options.into / kind)
        except ExecutionError as error:
            raise SystemExit(str(error)) from error
        print(f"{len(written)} {kind} notebooks in {options.into / kind}")


if __name__ == "__main__":
    main(sys.argv[1:])
