"""A chapter as the .ipynb that readers download: as it was executed, its text in Markdown that Jupyter shows."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_markdown_cell

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
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = "\n\n".join(filter(None, (_shown(block, page, labels) for block in blocks(cell.source))))
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


def _shown(block: Block, page: Path, labels: Labels) -> str:
    text = plain(block.source, page, labels)
    if block.name == "{exercise}":
        return f"**Exercise. {block.argument}**\n\n{text}"
    if block.name == "{solution}":
        return f"<details>\n<summary>Solution</summary>\n\n{text}\n\n</details>"
    return text
