"""The PDF of the built book: every page of the site is in it, linked within the file and listed in its outline."""

import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from lxml import html

from book.site.printing import reading_order

SITE = Path(__file__).parents[2] / "_build" / "html"
A4_POINTS = (595, 842)


@pytest.fixture(scope="module")
def pdf(tmp_path_factory):
    """As `make pdf` prints it: in a process of its own, since this one may have a browser open for other tests."""
    target = tmp_path_factory.mktemp("pdf") / "book.pdf"
    subprocess.run([sys.executable, "-m", "book.site.printing", SITE, target], cwd=SITE.parents[1], check=True)
    return pypdf.PdfReader(target)


def test_every_chapter_is_in_the_outline_in_order(pdf):
    headings = [html.parse(SITE / name).getroot().xpath("//article//h1")[0] for name in reading_order(SITE)]
    for anchor in (anchor for heading in headings for anchor in heading.xpath(".//a[@class='headerlink']")):
        anchor.drop_tree()
    titles = [_plain(heading.text_content()) for heading in headings]
    listed = [_plain(entry.title) for entry in pdf.outline if not isinstance(entry, list)]
    assert [title for title in listed if title in titles] == titles


def test_pages_are_a4_with_text_or_a_picture(pdf):
    for number, page in enumerate(pdf.pages, start=1):
        assert (round(page.mediabox.width), round(page.mediabox.height)) == A4_POINTS
        assert len(page.extract_text().strip()) > len(str(number)) or page.images, f"page {number} is empty"


def test_no_link_leads_to_this_machine(pdf):
    links = [note.get_object() for page in pdf.pages for note in page.get("/Annots", [])]
    addresses = [link["/A"]["/URI"] for link in links if "/URI" in link.get("/A", {})]
    assert addresses
    assert not [address for address in addresses if "127.0.0.1" in address or "localhost" in address]
    assert len(links) > len(addresses)  # the others lead within the book


def _plain(title: str) -> str:
    return "".join(title.split())
