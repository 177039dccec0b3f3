"""A chapter as the .ipynb that readers download: as it was executed, its text in Markdown that Jupyter shows.

Each exercise has cells to type in, as in the notebooks for students, which are not executed.
"""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

from book.site.course import student_cells
from book.site.exercises import Exercise, exercises_of
from book.site.myst import Block, Labels, blocks, cell_figure, plain
from qpatch.files import write_atomically

NEEDED = (
    "*This notebook needs the Python package `qpatch`: run it in the environment that the book's repository makes with "
    "`make setup`.*"
)


def download(executed: Path, page: Path, labels: Labels) -> nbformat.NotebookNode:
    """The notebook that the book's build executed for a page, readable and runnable without the book.

    Args:
        executed: with outputs, its text in MyST.
        page: the chapter it was made from.
        labels: of `book.site.myst.collect_labels`, for references.
    """
    notebook = nbformat.read(executed, as_version=4)
    cells = [new_markdown_cell(NEEDED, id="needed")]
    exercises = {exercise.label: exercise for exercise in exercises_of(page)}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cells += _texts(cell, exercises, page, labels)
            continue
        cells.append(cell)
        caption = cell_figure(cell).get("caption")
        if caption:
            cells.append(new_markdown_cell(f"*Figure.* {plain(caption, page, labels)}", id=f"caption-{len(cells):03d}"))
    notebook.cells = cells
    nbformat.validate(notebook)
    return notebook


def write_download(executed: Path, target: Path, page: Path, labels: Labels) -> None:
    """Write `download` of an executed page to ``target``."""
    write_atomically(target, nbformat.writes(download(executed, page, labels)).encode())


def _texts(cell, exercises: dict[str, Exercise], page: Path, labels: Labels) -> list[nbformat.NotebookNode]:
    """A cell of text, cut at its exercises, each of which brings its own."""
    cells, text = [], []
    for block in blocks(cell.source):
        if block.name == "{exercise}":
            cells += [new_markdown_cell("\n\n".join(text))] if text else []
            text = []
            for part in student_cells(exercises[block.options["label"]], labels):
                if "check" in part.metadata.get("tags", []):
                    part.metadata["tags"].append("raises-exception")  # an answer that is missing stops no other cell
                cells.append(part)
        elif shown := _shown(block, page, labels):
            text.append(shown)
    cells += [new_markdown_cell("\n\n".join(text))] if text else []
    for number, part in enumerate(cells):
        part["id"] = f"{cell.id}-{number}"  # the same notebook every time
    return cells


def _shown(block: Block, page: Path, labels: Labels) -> str:
    text = plain(block.source, page, labels)
    if block.name == "{solution}":
        return f"<details>\n<summary>Solution</summary>\n\n{text}\n\n</details>"
    return text
