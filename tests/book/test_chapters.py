"""What every chapter has for the reader in a hurry, and where the facts for citations agree."""

import json
import re

import pytest
import yaml

from book.site.myst import blocks
from qpatch.files import PROJECT

CONTENTS = yaml.safe_load((PROJECT / "_toc.yml").read_text())
CHAPTERS = [chapter["file"] for part in CONTENTS["parts"] if part.get("numbered") for chapter in part["chapters"]]
SENTENCE = re.compile(r"[.?!](?=\s|$)")
FIGURES = {
    name for page in PROJECT.glob("book/**/*.md") for name in re.findall(r"^ +name: (fig-\S+)$", page.read_text(), re.M)
}


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_ends_with_three_sentences_and_a_figure(chapter):
    pieces = [piece for piece in blocks((PROJECT / f"{chapter}.md").read_text()) if piece.body.strip()]
    places = [place for place, piece in enumerate(pieces) if piece.options.get("class") == "summary"]
    assert len(places) == 1
    after = "\n".join(piece.body for piece in pieces[places[0] + 1 :] if not piece.name)
    headings = set(re.findall(r"^#+ (.*)$", after, re.M))
    assert headings <= {"Where to go next", "Exercises"}
    text, remember = pieces[places[0]].body.strip().split("\n\n")
    assert len(SENTENCE.findall(text)) == 3
    (figure,) = re.findall(r"^\*To remember:\* \{numref\}`(.*)`\.$", remember)
    assert figure in FIGURES


def test_the_table_of_verdicts_stands_on_the_front_page_and_in_its_chapter_alone():
    pages = [page for page in PROJECT.glob("book/**/*.md") if "tables.balance(" in page.read_text()]
    assert {page.stem for page in pages} == {"index", "verdicts"}
    assert not [page for page in PROJECT.glob("book/**/*.md") if "plain(claims" in page.read_text()]


def test_both_files_for_citations_say_the_same():
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    zenodo = json.loads((PROJECT / ".zenodo.json").read_text())
    same = {key: citation[key] for key in ("title", "version", "keywords")}
    same |= {"description": f"<p>{citation['abstract']}</p>", "license": citation["license"].lower()}
    same["creators"] = [{"name": author["name"]} for author in citation["authors"]]
    assert same.items() <= zenodo.items()
    works = [work["identifiers"][0]["value"] for work in citation["references"]]
    assert [work["identifier"] for work in zenodo["related_identifiers"]] == works
