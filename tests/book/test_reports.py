import os
import tomllib
from pathlib import Path

import jupytext
import nbformat
import pytest
import yaml
from sphinx.errors import ExtensionError

from book.site.extension import REPOSITORY_VARIABLE, link_repository, repository_address
from book.site.reports import SOURCE, TITLE, remove_reports, report, report_title, reported_runs, write_report
from qpatch.config import RunConfig
from qpatch.files import PROJECT
from qpatch.runs.profiles import profile_runs
from qpatch.runs.store import RunFolder


def test_titles_say_what_a_run_is():
    assert report_title(RunFolder(RunConfig(stride=3, depth=100))) == "Paper run: 9 patches, depth 100"
    small = RunConfig(stride=2, depth=2, n_qubits=4, n_classes=8, image_size=8, seed=7)
    assert report_title(RunFolder(small)) == "4 qubits: 9 patches, depth 2, seed 7"


def test_further_seeds_have_no_report_of_their_own(monkeypatch):
    paper, seed, other = RunConfig(depth=50), profile_runs("seeds")[0], RunConfig(depth=50, seed=7)
    stored = [RunFolder(config) for config in (paper, seed, other)]
    monkeypatch.setattr("book.site.reports.stored_runs", lambda root: stored)
    assert [run.config for run in reported_runs()] == [paper, other]


def test_the_report_has_one_parameter_and_one_title():
    text = SOURCE.read_text()
    assert text.count(TITLE + "\n") == 1
    cells = jupytext.reads(text, fmt="md:myst").cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == ['run_id = ""']


def test_a_report_is_the_notebook_with_its_run_and_title():
    made = report(RunFolder(RunConfig(stride=3, depth=100)))
    assert made.place == "book/reports/mnist-s3-d100-seed1001.ipynb"
    assert made.code[0] == 'run_id = "mnist-s3-d100-seed1001"'
    assert made.code[1:] == [cell.source for cell in jupytext.read(SOURCE).cells if cell.cell_type == "code"][1:]
    assert made.cells.cells[0].source == "# Paper run: 9 patches, depth 100"


def test_only_reports_that_the_build_has_written_are_removed(tmp_path):
    """Somebody's own notebook beside them stays, even one that is no notebook at all."""
    run, gone = (RunFolder(RunConfig(depth=depth)) for depth in (50, 100))
    for one in (run, gone):
        executed = tmp_path / "executed"
        cells = report(one).cells
        cells.metadata["witnessed"] = {}  # as what is kept is
        nbformat.write(cells, executed)
        write_report(executed, tmp_path / f"{one.run_id}.ipynb")
    nbformat.write(nbformat.v4.new_notebook(metadata={"title": "mine"}), tmp_path / "mine.ipynb")
    (tmp_path / "damaged.ipynb").write_text("[]")
    remove_reports([run], tmp_path)
    assert sorted(file.name for file in tmp_path.glob("*.ipynb")) == [
        "damaged.ipynb",
        "mine.ipynb",
        f"{run.run_id}.ipynb",
    ]


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((PROJECT / "_toc.yml").read_text())
    listed = {chapter["file"] for part in toc["parts"] for chapter in part["chapters"]} | {toc["root"]}
    pages = PROJECT.glob("book/**/*.md")
    chapters = {str(page.relative_to(PROJECT).with_suffix("")) for page in pages if "notebooks" not in page.parts}
    assert chapters - {"book/reports/report"} == listed


class _Config:
    html_theme_options = {"repository_url": "https://example.org/other", "navbar_persistent": []}  # noqa: RUF012


def test_buttons_appear_only_where_the_repository_is_named(monkeypatch):
    config = _Config()
    monkeypatch.delenv(REPOSITORY_VARIABLE, raising=False)
    link_repository(None, config)
    assert config.html_theme_options == {"navbar_persistent": []}
    monkeypatch.setenv(REPOSITORY_VARIABLE, "https://github.com/someone/qpatch/")
    link_repository(None, config)
    assert config.html_theme_options["repository_url"] == "https://github.com/someone/qpatch"
    assert config.html_theme_options["launch_buttons"]["binderhub_url"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("git@github.com:someone/qpatch.git", "https://github.com/someone/qpatch"),
        ("ssh://git@git.example.org:2222/someone/qpatch.git", "https://git.example.org/someone/qpatch"),
        ("github.com/someone/qpatch", "https://github.com/someone/qpatch"),
        (" https://gitlab.example.org:8443/a/group/qpatch.git/ ", "https://gitlab.example.org:8443/a/group/qpatch"),
        ("https://user:secret@bitbucket.org/someone/qpatch", "https://bitbucket.org/someone/qpatch"),
        ("", ""),
    ],
)
def test_an_address_to_clone_becomes_that_of_the_repository(given, expected):
    assert repository_address(given) == expected


@pytest.mark.parametrize(
    "given", ["someone/qpatch", "https://github.com", "https://github.com/someone", "file:///a/b", "x"]
)
def test_an_address_of_no_repository_is_refused_with_the_form_that_is_wanted(given):
    with pytest.raises(ExtensionError, match=r"is '.*'; write it as https://host/owner/name, or leave it empty"):
        repository_address(given)


def test_hosts_get_the_buttons_that_lead_somewhere(monkeypatch):
    found = {}
    for host in ("github.com", "gitlab.example.org", "bitbucket.org", "codeberg.org"):
        monkeypatch.setenv(REPOSITORY_VARIABLE, f"git@{host}:someone/qpatch.git")
        link_repository(None, config := _Config())
        options = config.html_theme_options
        found[host] = options["repository_provider"], options["use_issues_button"]
        assert os.environ[REPOSITORY_VARIABLE] == options["repository_url"] == f"https://{host}/someone/qpatch"
    assert found == {
        "github.com": ("github", True),
        "gitlab.example.org": ("gitlab", True),
        "bitbucket.org": ("bitbucket", False),
        "codeberg.org": ("github", True),
    }


def test_no_source_names_a_content_delivery_network():
    files = [*Path(PROJECT / "book").rglob("*.md"), PROJECT / "_config.yml"]
    assert not [file for file in files if "cdn." in file.read_text() or "unpkg" in file.read_text()]


def test_one_version_and_one_title_everywhere():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    book = yaml.safe_load((PROJECT / "_config.yml").read_text())
    assert citation["version"] == tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert (citation["title"], citation["authors"][0]["name"]) == (book["title"], book["author"])
    heading = next(line for line in (PROJECT / "book" / "index.md").read_text().splitlines() if line.startswith("# "))
    assert heading.removeprefix("# ").lower() == book["title"].partition(": ")[2]
