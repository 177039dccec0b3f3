"""What a result says of its origin: class of machine, version of the code, the commit of this project and no other."""

import importlib.metadata
import subprocess

import pytest
import torch

from qpatch.runs import provenance

VERSION = importlib.metadata.version("qpatch")
WHO = ("-c", "user.name=t", "-c", "user.email=t@example.org")


@pytest.fixture(autouse=True)
def asked_anew():
    provenance.code_version.cache_clear()
    yield
    provenance.code_version.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a package and a result, both committed."""
    folder = tmp_path / "project"
    for name in ("qpatch/model.py", "data/results/a.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("1\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, *WHO, "commit", "--quiet", "--message", "first")
    monkeypatch.setattr(provenance, "PROJECT", folder)
    return folder


def git(folder, *arguments) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_class_of_machine_names_device_threads_and_torch():
    machine = provenance.machine(torch.device("cpu"))
    assert machine["device"] == "cpu"
    assert machine["threads"] == 1  # as the tests set it
    assert machine["torch"] == torch.__version__


def test_the_version_names_the_commit(project):
    assert provenance.code_version() == f"{VERSION}+{git(project, 'rev-parse', '--short', 'HEAD')}"


def test_a_tag_is_no_commit(project):
    git(project, *WHO, "tag", "--annotate", "v1.0.0", "--message", "release")
    assert provenance.code_version() == f"{VERSION}+{git(project, 'rev-parse', '--short', 'HEAD')}"


def test_new_results_do_not_make_the_code_dirty_and_a_changed_package_does(project):
    (project / "data" / "results" / "b.csv").write_text("2\n")
    assert not provenance.code_version().endswith("-dirty")
    provenance.code_version.cache_clear()
    (project / "qpatch" / "model.py").write_text("2\n")
    assert provenance.code_version().endswith("-dirty")


def test_an_archive_unpacked_in_another_repository_has_no_commit(project, monkeypatch):
    monkeypatch.setattr(provenance, "PROJECT", project / "data")
    assert provenance.code_version() == VERSION


def test_without_git_the_version_is_the_packages(monkeypatch):
    def missing(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert provenance.code_version() == VERSION


def test_the_digest_of_the_code_is_that_of_what_decides_about_numbers(tmp_path, monkeypatch):
    for name in ("engine/blocks.py", "show/plots.py"):
        (tmp_path / "qpatch" / name).parent.mkdir(parents=True)
        (tmp_path / "qpatch" / name).write_text("1\n")
    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setattr(provenance, "COMPUTING", ("engine",))

    def digest() -> str:
        return provenance.code_digest.__wrapped__()

    before = digest()
    (tmp_path / "qpatch" / "show" / "plots.py").write_text("2\n")
    assert digest() == before
    (tmp_path / "qpatch" / "engine" / "blocks.py").write_text("2\n")
    assert digest() != before
