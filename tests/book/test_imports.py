"""The direction of imports: `make lint` notices those that go against it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from qpatch.files import PROJECT

BESIDE = ("book/checks", "book/oracles", "book/show", "book/site")
LINT = [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(PROJECT / "pyproject.toml", root)
    for folder in ("qpatch", *BESIDE, "benchmarks"):
        shutil.copytree(PROJECT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def lint(root):
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(LINT, cwd=root, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("file", "module", "word"),
    [
        ("qpatch/engine/gates.py", "qpatch.model.qnn", "qpatch.engine is not allowed to import qpatch.model"),
        ("qpatch/study/claims.py", "book.show.tables", "qpatch is not allowed to import book.show"),
        ("qpatch/files.py", "book.site.myst", "qpatch is not allowed to import book.site"),
        ("book/show/tables.py", "benchmarks.memory", "book.show is not allowed to import benchmarks"),
    ],
)
def test_an_import_against_the_direction_is_named(copy, file, module, word):
    path = copy / file
    sound = path.read_text()
    path.write_text(f"{sound}\nimport {module}\n")
    found = lint(copy)
    path.write_text(sound)
    assert found.returncode == 1
    assert word in found.stdout


def test_a_new_room_needs_a_place(copy):
    (copy / "qpatch" / "attic.py").touch()
    found = lint(copy)
    (copy / "qpatch" / "attic.py").unlink()
    assert found.returncode == 1
    assert "attic" in found.stdout


def test_the_code_as_it_is_keeps_the_direction(copy):
    found = lint(copy)
    assert found.returncode == 0, found.stdout
