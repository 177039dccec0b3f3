"""What a reader takes away: the project's own files and the results, and nothing that tools or a build have made."""

from zipfile import ZipFile

import pytest
from sphinx.errors import ExtensionError

from book.site.archives import FOLDER, RESULTS, SOURCES, write_archives
from book.site.extension import PDF_VARIABLE, RELEASE_VARIABLE, REPOSITORY_VARIABLE, check_release


def test_sources_and_results_unpack_into_one_folder(tmp_path):
    project, site = tmp_path / "project", tmp_path / "project" / "_build" / "html"
    kept = ["README.md", ".ci/run", "book/reports/report.md", "data/mnist/x.gz"]
    results = ["data/results/a/train.json", "data/results/tables/seeds.csv"]
    left = [".git/HEAD", ".venv/x", ".venv-cluster/x", "workflow/.snakemake/x", "_build/html/x", "qpatch.egg-info/x"]
    left += ["book/reports/mnist-seed1.ipynb", "a.part"]
    for name in [*kept, *results, *left, "data/results/a/cache/big", "qpatch/__pycache__/x.pyc"]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    write_archives(site, project, project / "data" / "results")
    for archive, names in ((SOURCES, kept), (RESULTS, results)):
        with ZipFile(site / FOLDER / archive) as found:
            assert {name: found.read(name).decode() for name in found.namelist()} == {
                f"qpatch/{name}": name for name in names
            }


def test_a_release_is_refused_without_an_address_or_a_pdf(monkeypatch):
    for name in (RELEASE_VARIABLE, REPOSITORY_VARIABLE, PDF_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    check_release(None, None)  # a build of one's own needs neither
    monkeypatch.setenv(RELEASE_VARIABLE, "1")
    with pytest.raises(ExtensionError, match=f"{REPOSITORY_VARIABLE} and {PDF_VARIABLE} is empty; set it"):
        check_release(None, None)
    monkeypatch.setenv(REPOSITORY_VARIABLE, "https://example.org/someone/qpatch")
    with pytest.raises(ExtensionError, match=f"a release, and {PDF_VARIABLE} is empty"):
        check_release(None, None)
    monkeypatch.setenv(PDF_VARIABLE, "qpatch.pdf")
    check_release(None, None)
