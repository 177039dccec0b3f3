"""What may be shown again: every kind of thing that decides about an output, changed one at a time."""

import os
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from book.site import kept
from book.site.kept import Kept, foundation
from book.site.witness import STARTED

FILES = ("qpatch/model/qnn.py", "book/site/myst.py", "benchmarks/memory.py", "data/results/run/train.json")
FILES += ("data/mnist/labels.gz", "data/reference/runs.csv", "data/results/run/best.safetensors")


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in FILES:
        _write(tmp_path / name, name)
    monkeypatch.setattr(kept, "PROJECT", tmp_path)
    monkeypatch.setenv("QPATCH_RESULTS", str(tmp_path / "data" / "results"))
    return tmp_path


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", FILES)
def test_every_file_of_package_data_and_results_counts(project, name):
    before = foundation()
    stamp = (project / name).stat()
    (project / name).write_text(name.upper())  # of the same size, and as old as before
    os.utime(project / name, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    changed = foundation()
    (project / name).rename(project / f"{name}2")
    renamed = foundation()
    (project / f"{name}2").unlink()
    assert len({before, changed, renamed, foundation()}) == 4


@pytest.mark.parametrize("variable", ["QPATCH_RESULTS", "QPATCH_DATA"])
def test_results_and_data_elsewhere_count(project, tmp_path_factory, monkeypatch, variable):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setenv(variable, str(elsewhere))
    before = foundation()
    _write(elsewhere / "run" / "train.json", "{}")
    assert foundation() != before


def test_installed_versions_and_settings_count(project, monkeypatch):
    class Installed:
        name = "torch"

        def __init__(self, version: str):
            self.version = version

    found = {foundation()}
    monkeypatch.setenv("QPATCH_REPOSITORY_URL", "https://example.org/qpatch")  # which pages show
    found.add(foundation())
    for version in ("2.13.0", "2.13.1"):
        monkeypatch.setattr(kept, "distributions", lambda version=version: [Installed(version)])
        found.add(foundation())
    monkeypatch.setattr(kept.platform, "python_version", lambda: "3.99")
    assert len(found | {foundation()}) == 5


@pytest.mark.parametrize(
    "name",
    ["book/paper/setup.md", "qpatch/__pycache__/a.pyc", "data/results/run/cache/checkpoint.safetensors", "README.md"],
)
def test_text_and_what_no_page_reads_do_not_count(project, name):
    before = foundation()
    _write(project / name, "something")
    assert foundation() == before


def test_folders_of_other_foundations_are_deleted(tmp_path):
    _write(tmp_path / "old" / "a.ipynb", "{}")
    _write(tmp_path / "new" / "b.ipynb", "{}")
    Kept("new", tmp_path)
    assert [path.name for path in tmp_path.rglob("*.ipynb")] == ["b.ipynb"]


def test_a_file_stands_for_a_place_and_its_code():
    files = [
        ("book/a.md", ["x"]),
        ("book/b.md", ["x"]),
        ("book/a.md", ["y"]),
        ("book/a.md", ["x", ""]),
        ("book/a.md", []),
    ]
    assert len({Kept("digest").file(*arguments) for arguments in files}) == len(files)


def _saved(project, lines: list[str]) -> tuple[Kept, Path]:
    folder = Kept("digest", project / "_build" / "kept")
    file = folder.file("book/a.md", ["x"])
    folder.save(file, new_notebook(cells=[new_code_cell("x")]), [".", *lines])
    return folder, file


@pytest.mark.parametrize("line", ["book/other.md", "references.bib", "book"])
def test_what_a_notebook_has_read_must_be_as_it_was(project, line):
    _write(project / "book" / "other.md", "one")
    _write(project / "references.bib", "one")
    folder, file = _saved(project, [line])
    assert folder.is_current(file)
    if line == "book":  # its list
        _write(project / "book" / "third.md", "")
    else:
        _write(project / line, "two")
    assert not folder.is_current(file)


def test_a_file_that_was_looked_for_in_vain_must_still_be_missing(project):
    folder, file = _saved(project, ["book/later.md"])
    assert folder.is_current(file)
    _write(project / "book" / "later.md", "")
    assert not folder.is_current(file)


def test_a_notebook_that_started_a_process_is_never_current(project):
    for program, current in (("git", False), ("pandoc", True)):
        folder, file = _saved(project, [STARTED + program])
        assert folder.is_current(file) is current


def test_outputs_of_a_build_do_not_count(project):
    """Reports are written after the pages beside them have run; the foundation stands for the rest."""
    folder, file = _saved(project, ["book", "qpatch/model/qnn.py", ".venv/lib/x.py"])
    _write(project / "book" / "report.ipynb", "{}")
    _write(project / "qpatch" / "model" / "qnn.py", "other")
    assert folder.is_current(file)
    assert list(nbformat.read(file, as_version=4).metadata["witnessed"]) == ["book"]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"metadata": {}, "cells": [], "nbformat": 4, "nbformat_minor": 5}'])
def test_damaged_files_are_not_current(project, text):
    folder, file = _saved(project, [])
    assert folder.is_current(file)
    file.write_text(text)
    assert not folder.is_current(file)
    assert not folder.is_current(file.with_name("missing.ipynb"))
