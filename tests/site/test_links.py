"""Every reference within the built book leads somewhere, and the check of it notices those that do not."""

import json
import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from lxml import html
from site_links import broken_links, site_pages

from book.site.printing import reading_order

SITE = Path(__file__).parents[2] / "_build" / "html"
OUTPUTS = "//table[contains(@class, 'qpatch-table')]//text() | //figcaption//text() | //main//p//text()"
COMMENT = re.compile(r"<!--(.*?)-->", re.DOTALL)


def test_every_reference_within_the_book_leads_somewhere():
    assert len(site_pages(SITE)) > 1
    broken = broken_links(SITE)
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("words", "page"),
    [("own images", "book/teach/rerun"), ("lambda max", "book/paper/curvature"), ("why 100", "book/paper/patches")],
)
def test_the_search_knows_the_words_of_readers(words, page):
    """Entries of the index count for more than words of a text."""
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", (SITE / "searchindex.js").read_text(), re.DOTALL)[1])
    assert page in [index["docnames"][entry[0]] for entry in index["indexentries"][words]]


def test_no_number_that_can_be_written_out_is_a_power_of_ten():
    """As 1e+02 for 100: in texts, and in figures, whose letters stand in comments beside their shapes."""
    wrong, pages = re.compile(r"\de\+0[0-6]"), {page: html.parse(SITE / page).getroot() for page in site_pages(SITE)}
    texts = {page: " ".join(root.xpath(OUTPUTS)) for page, root in pages.items()}
    figures = {Path(source).name for root in pages.values() for source in root.xpath("//img/@src[contains(., '.svg')]")}
    drawn = {name: SITE / "_images" / name for name in figures}
    texts |= {name: "".join(COMMENT.findall(file.read_text())) for name, file in drawn.items() if file.is_file()}
    assert not {name: wrong.search(text)[0] for name, text in texts.items() if wrong.search(text)}


def test_next_leads_from_chapter_to_chapter_and_nowhere_else():
    contents = html.parse(SITE / "book" / "index.html").xpath("//li[contains(@class, 'toctree-l1')]/a/@href")
    page, led = reading_order(SITE)[0], []
    while page not in led:
        led.append(page)
        following = html.parse(SITE / page).xpath("//a[contains(@class, 'right-next')]/@href")
        page = urljoin(page, following[0]) if following else page
    assert led[1:] == [urljoin(led[0], link) for link in contents if not link.startswith("#")]


@pytest.fixture
def site(tmp_path):
    """A site of two pages, a template that is no page and a picture."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "template.html").write_text("<a href='nowhere.html'>x</a>")
    (tmp_path / "a picture.png").write_bytes(b"")
    (tmp_path / "sub" / "other.html").write_text("<p id='here'>text</p><a name='old'></a><a href='../'>up</a>")
    return tmp_path


@pytest.mark.parametrize(
    "body",
    [
        "<a href='sub/other.html#here'>x</a><a href='sub/other.html#old'>x</a>",
        "<a href='#own' id='own'>x</a><a href='#'>x</a>",
        "<img src='a%20picture.png?v=1'><a href='/sub/other.html'>x</a>",
        "<a href='https://example.org/nowhere#x'>x</a><a href='mailto:a@example.org'>x</a><img src='data:,'>",
    ],
)
def test_sound_references(site, body):
    (site / "index.html").write_text(body)
    assert broken_links(site) == []


@pytest.mark.parametrize(
    ("body", "reference", "missing"),
    [
        ("<a href='missing.html'>x</a>", "missing.html", "file"),
        ("<a href='sub/'>x</a>", "sub/", "file"),
        ("<a href='sub/other.html#there'>x</a>", "sub/other.html#there", "anchor"),
        ("<a href='#there'>x</a>", "#there", "anchor"),
        ("<img src='missing.png'>", "missing.png", "file"),
        ("<script src='_static/missing.js?v=1'></script>", "_static/missing.js?v=1", "file"),
        ("<link rel='stylesheet' href='_static/missing.css'>", "_static/missing.css", "file"),
        ("<p style='background: url(missing.svg)'>x</p>", "missing.svg", "file"),
    ],
)
def test_broken_references(site, body, reference, missing):
    (site / "index.html").write_text(body)
    assert broken_links(site) == [f"index.html: {reference}, no such {missing}"]
