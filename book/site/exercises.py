"""The book's exercises, read from the chapters, which are their only source.

In a chapter an exercise is a pair of sphinx-exercise directives::

    ````{exercise} Core: the Hessian by hand
    :label: ex-hessian-by-hand

    The question, with a hint where it helps.

    ```python
    # given code, which students start from; it needs nothing of the chapter
    ```

    ```{code-block} python
    :class: check

    check("ex-hessian-by-hand", hessian)
    ```
    ````

    ````{solution} ex-hessian-by-hand
    :class: dropdown

    The answer in words.

    ```python
    def hessian(theta): ...
    ```
    ````

The title begins with the level. The check (`book.checks`) uses names that the solution binds; from these the stub is
made that students fill in.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import inspect
import io
from dataclasses import dataclass
from pathlib import Path

import jupytext
import yaml

from book.site.myst import Block, blocks
from qpatch.files import PROJECT

LEVELS = {"Warm-up": "a few minutes", "Core": "half an hour", "Research": "an afternoon, with an open end"}
YOUR_TEXT = "*Your answer in words:*"


class ExerciseError(ValueError):
    """An exercise whose source breaks the rules above; the message names it and the remedy."""


@dataclass(frozen=True)
class Exercise:
    """One exercise and its solution; parts are pairs ('text' or 'code', lines) in the order of the source.

    Attributes:
        label: of the directive, 'ex-...'.
        title: without the level.
        level: one of `LEVELS`.
        page: the chapter's file.
        question: statement and given code.
        check: code, empty where there is nothing to check.
        answer: explanation and code of the solution.
    """

    label: str
    title: str
    level: str
    page: Path
    question: tuple[tuple[str, str], ...]
    check: str
    answer: tuple[tuple[str, str], ...]

    @property
    def given(self) -> str:
        """The code that students start from."""
        return "\n\n".join(lines for kind, lines in self.question if kind == "code")

    @property
    def solution(self) -> str:
        """The code of the solution."""
        return "\n\n".join(lines for kind, lines in self.answer if kind == "code")

    @property
    def stub(self) -> str:
        """What students find in the solution's place: the names that the check uses, without their values.

        Raises:
            ExerciseError: the check uses a name that is bound nowhere.
        """
        wanted = set(_loaded(self.check)) - _bound(self.given) - _bound(self.check) - set(dir(builtins))
        lines = {}
        for node in ast.parse(self.solution).body:
            if isinstance(node, ast.FunctionDef) and node.name in wanted:
                lines[node.name] = _empty_function(node, self.label)
            else:
                lines |= {name: f"{name} = ...  # your code" for name in _targets(node) if name in wanted}
        if missing := sorted(wanted - set(lines)):
            raise ExerciseError(
                f"{self.label}: the check uses {missing[0]!r}, which neither question nor solution binds"
            )
        return "\n\n".join(lines.values()) or "# your code"


def pages() -> list[Path]:
    """The chapters of the book in the order of its table of contents, files only (no patterns)."""

    def files(entry):
        if isinstance(entry, dict):
            if "file" in entry:
                yield entry["file"]
            entry = [value for value in entry.values() if isinstance(value, list)]
        if isinstance(entry, list):
            for part in entry:
                yield from files(part)

    contents = yaml.safe_load((PROJECT / "_toc.yml").read_text())
    found = [contents["root"], *files(contents["parts"])]
    return [path for name in found if (path := PROJECT / f"{name}.md").is_file()]


def all_exercises() -> list[Exercise]:
    """Every exercise of the book, in the order of the chapters."""
    return [exercise for page in pages() for exercise in exercises_of(page)]


def exercises_of(page: Path) -> list[Exercise]:
    """The exercises of one chapter.

    Raises:
        ExerciseError: no level, no solution, or a solution of nothing.
    """
    cells = [cell.source for cell in jupytext.read(page, fmt="md:myst").cells if cell.cell_type == "markdown"]
    found = [block for source in cells for block in blocks(source)]
    solutions = {block.argument: block for block in found if block.name == "{solution}"}
    exercises = [_read(block, solutions, page) for block in found if block.name == "{exercise}"]
    if stray := sorted(set(solutions) - {exercise.label for exercise in exercises}):
        raise ExerciseError(f"{page.name}: the solution of {stray[0]!r} has no exercise before it")
    return exercises


def solve(exercise: Exercise) -> dict:
    """The names that given code and solution bind, run in a namespace of their own; what they print is dropped."""
    names: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in (exercise.given, exercise.solution):
            exec(compile(code, exercise.label, "exec"), names)
    return names


def answers(exercise: Exercise) -> dict:
    """What the solution gives for the names that its check asks for, such as ``{"steps": 3000}``, without functions."""
    names = solve(exercise)
    asked = [name for name in _loaded(exercise.check) if name in names and not callable(names[name])]
    return {name: names[name] for name in asked if not inspect.ismodule(names[name])}


def _read(block: Block, solutions: dict[str, Block], page: Path) -> Exercise:
    label = block.options.get("label", "without a label")
    level, _, title = block.argument.partition(": ")
    if level not in LEVELS or not title:
        raise ExerciseError(f"{label}: the title is {block.argument!r}; begin it with a level, as in 'Core: a title'")
    if label not in solutions:
        raise ExerciseError(f"{label}: there is no solution in {page.name}; add a solution directive with this label")
    title = title[0].upper() + title[1:]
    inner = blocks(block.body)
    check = "\n".join(part.body for part in inner if part.options.get("class") == "check")
    question = _parts([part for part in inner if part.options.get("class") != "check"])
    return Exercise(label, title, level, page, question, check, _parts(blocks(solutions[label].body)))


def _parts(found: list[Block]) -> tuple[tuple[str, str], ...]:
    return tuple(("code", part.body) if part.name == "python" else ("text", part.source) for part in found)


def _loaded(code: str) -> dict[str, None]:
    """The names that code reads, each once, in their order."""
    nodes = ast.walk(ast.parse(code))
    return dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def _bound(code: str) -> set[str]:
    return {name for node in ast.parse(code).body for name in _targets(node)}


def _targets(node: ast.stmt) -> list[str]:
    """The names that a statement binds, imports, loops and nested blocks included."""
    names = []
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.append(child.id)
        elif isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            names.append(child.name)
        elif isinstance(child, ast.alias):
            names.append((child.asname or child.name).split(".")[0])
    return names


def _empty_function(node: ast.FunctionDef, label: str) -> str:
    """Signature and docstring, without the body."""
    head = f"def {node.name}({ast.unparse(node.args)}):"
    docstring = ast.get_docstring(node)
    lines = [head, *([f'    """{docstring}"""'] if docstring else [])]
    return "\n".join([*lines, f'    raise NotImplementedError("{label}: your code")'])


def overview(here: str = "") -> str:
    """A MyST table of all exercises by level, with links to them and their chapters.

    Args:
        here: path from the page that shows the table to the folder of the book, such as ``../``.
    """
    rows = ["| Level | Exercise | Chapter |", "| --- | --- | --- |"]
    exercises = all_exercises()
    for level in LEVELS:
        for exercise in (one for one in exercises if one.level == level):
            page = exercise.page.relative_to(PROJECT / "book").with_suffix("")
            rows.append(f"| {level} | {{ref}}`{exercise.title} <{exercise.label}>` | {{doc}}`{here}{page}` |")
    return "\n".join(rows)
