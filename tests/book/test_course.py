"""Student and instructor notebooks: what is in them, what is not, and that they run as far as they should."""

import re

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from book.checks.compare import AnswerError
from book.site import course, kept
from book.site.execution import environment
from book.site.exercises import ExerciseError, exercises_of, overview, pages
from book.site.myst import collect_labels, parser
from book.site.nursery import Nursery, is_possible
from qpatch.files import PROJECT
from qpatch.runs.sweep import THREAD_VARIABLES

WITH_EXERCISES = [page for page in pages() if exercises_of(page)]
BOOK_ONLY = re.compile(
    r"\{(doc|ref|eq|numref|term|cite)\}+`|\.md\)"
)  # in a string: nothing that Jupyter shows as it should
NAMES = [page.stem for page in WITH_EXERCISES]
LABELS = collect_labels(pages())


@pytest.fixture(autouse=True)
def stored_results(monkeypatch):
    """Chapters read the results of the repository, not those of a test."""
    monkeypatch.delenv("QPATCH_RESULTS")


@pytest.fixture(params=WITH_EXERCISES, ids=NAMES)
def page(request):
    return request.param


def test_no_line_of_a_solution_is_in_a_student_notebook(page):
    """The source without its solutions is cut by hand here, independently of the package's parser."""
    source = page.read_text()
    public = re.sub(r"^(`{3,})\{solution\}.*?^\1$", "", source, flags=re.MULTILINE | re.DOTALL)
    assert public.count("{solution}") == 0 < source.count("{solution}")
    secret = set()
    for solution in re.findall(r"^(`{3,})\{solution\}[^\n]*\n(.*?)^\1$", source, flags=re.MULTILINE | re.DOTALL):
        secret |= {line.strip() for line in solution[1].splitlines()}
    known = {line.strip() for line in public.splitlines()}
    signatures = {line for line in secret if line.startswith(("def ", '"""'))}
    secret = {line for line in secret - known - signatures if len(line) > 8 and not line.startswith(("```", ":class:"))}
    assert secret
    student = nbformat.writes(course.student_notebook(page, LABELS))
    lines = {line.strip() for cell in nbformat.reads(student, 4).cells for line in cell.source.splitlines()}
    assert not secret & lines


def test_student_notebooks_need_no_extension(page):
    for cell in course.student_notebook(page, LABELS).cells:
        if cell.cell_type == "markdown":
            for token in parser().parse(cell.source):
                assert not (token.type in ("fence", "colon_fence") and token.info.strip().startswith("{")), token.info
                assert token.type not in ("myst_target", "myst_line_comment", "math_block_label"), token.content
                roles = [child.content for child in token.children or () if child.type == "myst_role"]
                assert not roles


def test_chapters_are_kept_whole(page):
    """All code of the chapter, in order, and every exercise with its check."""
    chapter = [cell.source for cell in jupytext.read(page, fmt="md:myst").cells if cell.cell_type == "code"]
    notebook = course.student_notebook(page, LABELS)
    tagged = {tuple(cell.metadata.get("tags", [])[:2]) for cell in notebook.cells if cell.cell_type == "code"}
    kinds = ("given", "stub", "check")
    own = [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and not set(kinds) & set(cell.metadata.get("tags", []))
    ]
    assert len(own) == len(chapter)
    for code, original in zip(own, chapter, strict=True):
        assert not BOOK_ONLY.search(code)
        lines = zip(code.splitlines(), original.splitlines(), strict=True)
        assert all(line == before or BOOK_ONLY.search(before) for line, before in lines)
        compile(code, page.name, "exec")
    for exercise in exercises_of(page):
        assert (("check", exercise.label) in tagged) == bool(exercise.check)
        assert any(exercise.title in cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_notebooks_are_valid_and_the_same_every_time(page):
    for make in (course.student_notebook, course.instructor_notebook):
        notebook = make(page, LABELS)
        nbformat.validate(notebook)
        assert nbformat.writes(notebook) == nbformat.writes(make(page, LABELS))


def _patches():
    return next(page for page in WITH_EXERCISES if page.stem == "patches")


@pytest.fixture(scope="module")
def nursery():
    """Where kernels come from, on one thread each: their imports, most of their time, are done once."""
    with environment(dict.fromkeys(THREAD_VARIABLES, "1")):
        if not is_possible():
            yield None
        else:
            with Nursery() as one:
                yield one


def test_a_student_notebook_fails_at_its_stubs_only(page, nursery):
    """In a kernel: one chapter whole, of the others the exercises, for the build runs their own cells."""
    notebook = course.student_notebook(page, LABELS)
    if page != _patches():
        notebook.cells = [
            cell for cell in notebook.cells if {*cell.metadata.get("tags", [])} & {"given", "stub", "check"}
        ]
    options = {"timeout": course.TIMEOUT, "allow_errors": True, "extra_arguments": ["--log-level=50"]}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(PROJECT)}}, **options)
    if nursery:
        nursery.provide(client)
    executed = client.execute()
    failed = []
    for cell in executed.cells:
        errors = [output for output in cell.get("outputs", []) if output.output_type == "error"]
        if errors:
            assert cell.metadata["tags"][0] in ("stub", "check"), cell.source
            assert errors[0].ename in (AnswerError.__name__, "NotImplementedError")
            failed.append(cell.metadata["tags"][1])
            assert errors[0].traceback == [f"{failed[-1]}: {errors[0].evalue.partition(': ')[2]}"]
    assert failed == [exercise.label for exercise in exercises_of(page) if exercise.check]


def test_an_instructor_notebook_runs_clean(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "pages", lambda: [_patches()])
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    (file,) = course.write("instructor", tmp_path)
    executed = nbformat.read(file, as_version=4)
    assert "witnessed" not in executed.metadata
    shown = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", []))
    passed = re.findall(r"^(ex-[\w-]+): correct$", shown, flags=re.MULTILINE)
    assert passed == [exercise.label for exercise in exercises_of(_patches()) if exercise.check]


def test_a_solution_that_fails_is_named(tmp_path, monkeypatch):
    page = tmp_path / "wrong.md"
    page.write_text(_page(tmp_path).read_text().replace("import math", "1 / 0"))
    monkeypatch.setattr(course, "pages", lambda: [page])
    monkeypatch.setattr(course, "PROJECT", tmp_path)
    monkeypatch.setattr(kept, "KEPT", tmp_path / "kept")
    with pytest.raises(SystemExit, match=r"solutions of wrong.md: cell \d+ failed: ZeroDivisionError"):
        course.main(["instructor", "--into", str(tmp_path)])


def test_the_command_writes_what_it_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(course, "pages", lambda: [_patches()])
    course.main(["student", "--into", str(tmp_path)])
    assert [file.name for file in tmp_path.rglob("*.ipynb")] == ["01-patches.ipynb"]
    assert capsys.readouterr().out == f"1 student notebooks in {tmp_path / 'student'}\n"
    with pytest.raises(SystemExit):
        course.main(["teacher"])
    assert "'teacher' is no kind of notebook" in capsys.readouterr().err


PAGE = """# A chapter

````{{exercise}} {title}
:label: ex-new

What is it?

```python
base = 2
```

```{{code-block}} python
:class: check

check("ex-new", double, base)
```
````

{solution}
"""
SOLUTION = """````{solution} ex-new

Easily.

```python
import math

unused = math.pi


def double(x, *, y=1):
    \"\"\"Twice x.\"\"\"
    return 2 * x * y
```
````"""


def _page(tmp_path, title="Core: double it", solution=SOLUTION):
    header = "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n"
    path = tmp_path / "new.md"
    path.write_text(header + PAGE.format(title=title, solution=solution))
    return path


def test_an_exercise_is_read_in_its_parts(tmp_path):
    (exercise,) = exercises_of(_page(tmp_path))
    assert (exercise.label, exercise.level, exercise.title) == ("ex-new", "Core", "Double it")
    assert exercise.question == (("text", "What is it?"), ("code", "base = 2"))
    assert exercise.given == "base = 2"
    assert [kind for kind, _ in exercise.answer] == ["text", "code"]


def test_a_stub_has_signature_and_docstring_of_what_is_checked_and_no_more(tmp_path):
    (exercise,) = exercises_of(_page(tmp_path))
    with pytest.raises(
        ExerciseError, match="ex-new: the check uses 'check', which neither question nor solution binds"
    ):
        _ = exercise.stub
    complete = _page(tmp_path, solution=SOLUTION.replace("import math", "import math\nfrom book.checks import check"))
    (exercise,) = exercises_of(complete)
    stub = 'def double(x, *, y=1):\n    """Twice x."""\n    raise NotImplementedError("ex-new: your code")'
    assert exercise.stub.endswith(stub)
    assert "unused" not in exercise.stub


@pytest.mark.parametrize(
    ("title", "solution", "message"),
    [
        ("double it", SOLUTION, "begin it with a level, as in 'Core: a title'"),
        ("Hard: double it", SOLUTION, "begin it with a level"),
        ("Core: double it", "", "ex-new: there is no solution in new.md"),
        ("Core: double it", SOLUTION + "\n\n" + SOLUTION.replace("ex-new", "ex-old"), "'ex-old' has no exercise"),
    ],
)
def test_sources_that_break_the_rules_are_refused(tmp_path, title, solution, message):
    with pytest.raises(ExerciseError, match=message):
        exercises_of(_page(tmp_path, title, solution))


def test_the_overview_lists_every_exercise_once():
    table = overview("../")
    listed = [exercise.label for page in WITH_EXERCISES for exercise in exercises_of(page)]
    assert len(listed) == len(set(listed)) > 0
    assert [table.count(f"<{label}>`") for label in listed] == [1] * len(listed)
    assert len(table.splitlines()) == 2 + len(listed)
