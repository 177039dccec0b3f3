"""Copies of the book to take along: the archive of a site, and the links to what there is."""

from zipfile import ZipFile

import pytest

from book.site.offline import COPIES, copies, pack


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "html"
    (folder / "deep").mkdir(parents=True)
    (folder / "index.html").write_text('<p>one <span class="qpatch-online"><a href="b.zip">zip</a>\n</span>two</p>')
    (folder / "deep" / "x.png").write_bytes(b"\0\1")
    (folder / "b.zip").write_text("an older archive")
    return folder


def test_an_archive_is_the_site_without_what_only_a_host_serves(site, tmp_path):
    target = pack(site, tmp_path / "b.zip")
    with ZipFile(target) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {"b/deep/x.png": b"\0\1", "b/index.html": b"<p>one two</p>"}


def test_the_same_site_is_the_same_archive(site, tmp_path):
    first = pack(site, tmp_path / "b.zip").read_bytes()
    (site / "deep" / "x.png").touch()
    assert pack(site, tmp_path / "b.zip").read_bytes() == first


def test_a_folder_without_a_site_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make book` first"):
        pack(tmp_path, tmp_path / "b.zip")


def test_only_copies_that_are_there_are_linked(monkeypatch):
    for variable in COPIES:
        monkeypatch.delenv(variable, raising=False)
    assert copies("../") == ""
    monkeypatch.setenv("QPATCH_PDF", "a&b.pdf")
    assert '<a href="../a&amp;b.pdf">' in copies("../")
    assert copies("../").count("<a ") == 1
