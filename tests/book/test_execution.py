"""Notebooks executed side by side, kept, refused: with kernels of their own in a project of a few files."""

from types import SimpleNamespace

import nbformat
import pytest
import yaml
from myst_nb.core.config import NbParserConfig
from myst_nb.core.read import create_nb_reader
from myst_parser.config.main import MdParserConfig

from book.site import execution, kept, nursery
from book.site.execution import ExecutionError, chapters, execute, parse, read
from book.site.extension import read_executed
from qpatch.files import PROJECT

HEADER = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"
PAGE = HEADER + "# {title}\n\n{text}\n\n```{{code-cell}} ipython3\n:tags: [hide-input]\n\n{code}\n```\n"
CELL = "```{code-cell} ipython3\n:tags: [hide-input]\n\n1 / 0"
TIMEOUT = 30  # seconds a cell, on a busy machine


class Book:
    """A project with a data file, and pages by name; `build` executes them and says what was executed."""

    def __init__(self, root):
        self.root, self.lines = root, []
        self.write("data/numbers.txt", "1")
        self.write("_config.yml", "parse: {myst_enable_extensions: [dollarmath]}")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def page(self, name, code, text="Text."):
        self.write(f"book/{name}.md", PAGE.format(title=name, text=text, code=code))

    def build(self, *names, timeout=TIMEOUT, workers=2):
        """The text that each page shows, and how many of them were executed."""
        self.lines.clear()
        found = chapters([f"book/{name}" for name in names], excluded=["book/left-*"])
        files = execute(found, timeout, self.lines.append, workers, self.root / "_build" / "kept")
        shown = {}
        for page, file in zip(found, files, strict=True):
            cells = read((self.root / page.place).read_text(), str(file)).cells
            shown[page.folder.name + "/" + page.place.split("/")[-1][:-3]] = [
                output.text for cell in cells if cell.cell_type == "code" for output in cell.outputs
            ]
        return {name.removeprefix("book/"): text for name, text in shown.items()}, int(self.lines[0].split()[0])


@pytest.fixture
def book(tmp_path, monkeypatch):
    for module in (execution, kept):
        monkeypatch.setattr(module, "PROJECT", tmp_path)
    monkeypatch.setattr(nursery, "IMPORTED", ("ipykernel.kernelapp",))  # more than that these pages do not need
    return Book(tmp_path)


READ = "print(open('../{}').read(), end='')"


def test_what_is_kept_is_shown_until_something_that_decides_about_it_changes(book):
    book.page("data", READ.format("data/numbers.txt"))
    book.page("text", "print('same')")
    book.page("reader", READ.format("book/text.md") + "\nprint(len(open('../book/text.md').read()))")
    book.page("process", "import subprocess\nprint(subprocess.run(['echo', 'x'], capture_output=True).returncode)")
    names = ("data", "text", "reader", "process")
    first, executed = book.build(*names)
    assert executed == 4
    assert (first["data"], first["text"], first["process"]) == (["1"], ["same\n"], ["0\n"])
    assert book.build(*names) == (first, 1)  # the one that starts a process
    book.page("text", "print('same')", text="Another sentence.")
    shown, executed = book.build(*names)
    assert executed == 2  # and the one that reads the sentence
    assert "Another sentence." in shown["reader"][0]
    book.page("text", "print('other')")
    assert book.build("data", "text") == ({"data": ["1"], "text": ["other\n"]}, 1)
    book.write("data/numbers.txt", "2")
    assert book.build("data", "text") == ({"data": ["2"], "text": ["other\n"]}, 2)


def test_failures_are_all_named_with_cell_line_and_error(book):
    book.page("right", "print('right')")
    book.page("wrong", "1 / 0", text="Text\n\n```{code-cell} ipython3\nx = 1\n```")
    book.page("slow", "import time\ntime.sleep(60)")
    with pytest.raises(ExecutionError) as caught:
        book.build("right", "wrong", "slow", timeout=3)
    message = str(caught.value)
    assert "book/wrong.md: cell 3, line 16 failed: ZeroDivisionError: division by zero" in message
    assert (book.root / "book" / "wrong.md").read_text().splitlines()[15:19] == CELL.splitlines()
    assert "book/slow.md: cell 2, line 12 failed: CellTimeoutError" in message
    assert "\x1b" not in message
    assert book.build("right") == ({"right": ["right\n"]}, 0)  # others are not executed again


def test_nothing_is_kept_of_a_build_in_which_package_data_or_results_changed(book):
    book.page("writer", "_ = open('../data/numbers.txt', 'w').write('2')\nprint('1')")
    with pytest.raises(ExecutionError, match="changed while the notebooks were executed; build the book again"):
        book.build("writer")
    assert not list((book.root / "_build").rglob("*.ipynb"))


def test_a_kernel_without_its_witness_is_refused(book, monkeypatch):
    monkeypatch.setattr(execution, "KERNEL_ARGUMENTS", [])
    book.page("one", "1")
    with pytest.raises(ExecutionError, match="without the witness of what it reads"):
        book.build("one")


def test_notebooks_run_side_by_side(book):
    """Each waits for a file that the other one writes."""
    wait = "import pathlib, time\npathlib.Path('{}').touch()\nwhile not pathlib.Path('{}').exists(): time.sleep(0.05)"
    book.page("one", wait.format("one.txt", "two.txt"))
    book.page("two", wait.format("two.txt", "one.txt"))
    assert book.build("one", "two", workers=2)[1] == 2


def test_a_page_that_changed_since_it_was_executed_is_refused(tmp_path, book):
    text = PAGE.format(title="a", text="Text", code="print(1)")
    file = tmp_path / "executed.ipynb"
    nbformat.write(parse(text), file)
    assert read(text.replace("Text", "Words"), str(file)).cells[0].source == "# a\n\nWords"
    with pytest.raises(ValueError, match="changed while the book was built"):
        read(text.replace("print(1)", "print(2)"), str(file))


def test_sphinx_reads_a_chapter_with_its_outputs(tmp_path, book):
    """By the reader that myst-nb chooses for it, and for no other page."""
    text = PAGE.format(title="a", text="Text", code="print(1)")
    done = parse(text)
    done.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    nbformat.write(done, tmp_path / "executed.ipynb")
    page, other = (str(tmp_path / "book" / name) for name in ("a.md", "b.md"))
    settings = SimpleNamespace(mystnb_config=NbParserConfig())
    config = SimpleNamespace(qpatch_executed={page: str(tmp_path / "executed.ipynb")})
    read_executed(SimpleNamespace(env=settings, config=config))
    readers = [create_nb_reader(path, MdParserConfig(), settings.mystnb_config, text) for path in (page, other)]
    outputs = [[cell.outputs for cell in reader.read(text).cells[1:]] for reader in readers]
    assert outputs == [[[{"output_type": "stream", "name": "stdout", "text": "1\n"}]], [[]]]
    assert yaml.safe_load((PROJECT / "_config.yml").read_text())["execute"]["execute_notebooks"] == "off"


def test_chapters_are_the_notebooks_of_the_contents(book):
    book.page("one", "1")
    book.page("left-out", "1")
    book.write("book/words.md", "# Words\n")
    found = chapters(["book/words", "book/left-out", "book/one", "book/report-*"], excluded=["book/left-*"])
    assert [(page.place, page.code, page.folder) for page in found] == [("book/one.md", ["1"], book.root / "book")]
