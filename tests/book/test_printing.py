"""Joining a site's pages into one: order, links, and what paper cannot show."""

import pytest
from lxml import html

from book.site.printing import join_pages, reading_order

PAGE = """<!doctype html><html><head><link rel="stylesheet" href="{up}_static/a.css">{more}</head><body>
<p class="title logo__title"> The
 book</p>
<nav class="bd-docs-nav"><div class="bd-toc-item"><ul><li><a href="{up}book/one.html">One</a>
<details><summary>v</summary></details><ul><li><a href="{up}book/deep/two.html">Two</a></li></ul></li></ul></div></nav>
<article class="bd-article" >{text}</article></body></html>"""
ONE = """<h1 id="one">One<a class="headerlink" href="#one">#</a></h1>
<p>See <a class="in" href="deep/two.html#there">there</a>, <a class="page" href="deep/two.html">two</a>,
<a class="own" href="#one">above</a>, <a class="file" href="../_sources/one.ipynb">file</a>,
<a class="out" href="https://example.org/">elsewhere</a>.</p>
<img loading="lazy" src="../_images/x.png" alt="x">
<script>alert("oh")</script><noscript><p id="twin">The still figure</p></noscript>
<div class="qpatch-interactive"><button>turn</button></div><span class="qpatch-online">archive</span>
<details class="admonition hide above-input"><summary>Show</summary><div class="cell_input">folded</div></details>
<details class="admonition hide below-input"><summary>Show</summary><div class="cell_output">printed</div></details>"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "book" / "deep").mkdir(parents=True)
    (tmp_path / "index.html").write_text('<meta http-equiv="Refresh" content="0; url=book/one.html" />')
    onward = '<script>window.MathJax = {}</script><script src="../_static/mathjax/m.js"></script>'
    (tmp_path / "book" / "one.html").write_text(PAGE.format(up="../", more=onward, text=ONE))
    (tmp_path / "book" / "deep" / "two.html").write_text(
        PAGE.format(up="../../", more="", text="<h1 id='there'>Two</h1>")
    )
    return tmp_path


@pytest.fixture
def book(site):
    return html.document_fromstring(join_pages(site))


def test_order_is_that_of_the_list_of_contents(site):
    assert reading_order(site) == ["book/one.html", "book/deep/two.html"]


def test_folder_without_a_site_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make book` first"):
        reading_order(tmp_path)


def test_every_link_leads_within_the_book_or_to_another_host(book):
    links = {link.get("class"): link.get("href") for link in book.xpath("//article//a")}
    assert links == {"in": "#p1-there", "page": "#p1", "own": "#p0-one", "file": None, "out": "https://example.org/"}
    anchors = set(book.xpath("//@id"))
    assert {"p0", "p1", "p0-one", "p1-there"} <= anchors
    assert book.xpath("//nav//a/@href") == ["#p0", "#p1"]


def test_what_only_a_screen_can_show_is_left_out_and_its_twin_shown(book):
    (text, _) = [article.text_content() for article in book.xpath("//article")]
    for gone in ("alert", "turn", "archive", "folded", "Show", "#"):
        assert gone not in text
    for kept in ("The still figure", "printed"):
        assert kept in text


def test_pictures_and_styles_are_found_from_the_joined_page(book):
    (image,) = book.xpath("//img")
    assert image.get("src") == "/_images/x.png"
    assert image.get("loading") is None
    assert book.xpath("//link/@href") == ["/_static/a.css"]  # once for both pages
    assert book.xpath("//script/@src") == ["/_static/mathjax/m.js"]
    assert book.xpath("string(//head/title)") == "The book"
