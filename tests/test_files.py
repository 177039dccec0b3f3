"""Files that are there whole or not at all."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import TINY

from qpatch import files
from qpatch.data import load_dataset
from qpatch.files import ResultError
from qpatch.runs.published import reference_table
from qpatch.runs.store import results_folder


def test_files_are_written_and_replaced(tmp_path):
    file = tmp_path / "a.json"
    for contents in (b"first", b"second and longer", b""):
        files.write_atomically(file, contents)
        assert file.read_bytes() == contents
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, fails):
    file = tmp_path / "a.json"
    file.write_bytes(b"old")

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"fsync": ("os.fsync", full), "replace": ("pathlib.Path.replace", full)}[fails])
    with pytest.raises(files.ResultError, match=r"cannot write to .*\(No space left on device\); make that possible"):
        files.write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_a_killed_process_left_is_in_nobodys_way(tmp_path):
    (tmp_path / ".a.json.0123.part").write_bytes(b"half of a much longer text")
    files.write_atomically(tmp_path / "a.json", b"whole")
    assert (tmp_path / "a.json").read_bytes() == b"whole"


def test_writers_of_one_file_do_not_disturb_one_another(tmp_path):
    """Every read finds what one of them wrote, whole."""
    file, texts = tmp_path / "a.json", [bytes([letter]) * 100_000 for letter in b"abcd"]
    files.write_atomically(file, texts[0])

    def write(text):
        for _ in range(20):
            files.write_atomically(file, text)
            assert file.read_bytes() in texts

    with ThreadPoolExecutor(len(texts)) as pool:
        list(pool.map(write, texts))
    assert os.listdir(tmp_path) == ["a.json"]


def test_an_installed_package_without_its_project_says_what_is_needed(monkeypatch, tmp_path):
    monkeypatch.setattr("qpatch.files.PROJECT", tmp_path)
    monkeypatch.delenv("QPATCH_DATA", raising=False)
    monkeypatch.delenv("QPATCH_RESULTS")
    for needs in (results_folder, lambda: load_dataset(TINY), lambda: reference_table("runs")):
        with pytest.raises(ResultError, match=r"clone the repository and 'make setup' there"):
            needs()
    monkeypatch.setenv("QPATCH_RESULTS", str(tmp_path))
    assert results_folder() == tmp_path


def test_digest_is_sha256(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert files.sha256(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(file) == hashlib.sha256(b"abc").hexdigest()
