"""The EPUB's formulas and pages, without a build of it."""

import re
from types import SimpleNamespace

import pytest
from lxml import etree

from book.site.epub import make_readable, mathml
from book.site.exercises import pages
from book.site.myst import blocks

NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


@pytest.mark.parametrize(
    ("formula", "text", "block"),
    [
        (r"x_1, \dots, x_n", "x1,…,xn", False),
        (r"\big( a \Big] b \bigr)", "(a]b)", False),
        (r"\operatorname{diag}(a) < b", "diag\N{FUNCTION APPLICATION}(a)<b", False),
        (r"a &= b \\ &< c", "a=b<c", True),
    ],
)
def test_what_docutils_does_not_know_is_said_otherwise(formula, text, block):
    tree = etree.fromstring(mathml(formula, block=block))
    assert tree.tag.removeprefix(NAMESPACE) == "math"
    assert "".join("".join(tree.itertext()).split()) == text


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_every_formula_of_the_book_can_be_written(page):
    for piece in blocks(page.read_text(encoding="utf-8")):
        if piece.name == "{math}":
            etree.fromstring(mathml(piece.body, block=True))
        elif not piece.name:
            for formula in re.findall(r"\$([^$\n]+)\$", re.sub(r"`[^`]*`", "", piece.body)):
                etree.fromstring(mathml(formula))


def test_a_page_is_xhtml_and_shows_what_stands_in_for_scripts():
    body = '<p>a<br>b &nbsp;<script>x()</script></p><div class="qpatch-explorer">live</div>'
    body += "<details><summary>v</summary>in</details>"
    context = {"body": body}
    make_readable(SimpleNamespace(builder=SimpleNamespace(name="epub")), "page", "page.html", context, None)
    tree = etree.fromstring(context["body"])
    assert "".join(tree.itertext()) == "ab \xa0in"
    context = {"body": body}
    make_readable(SimpleNamespace(builder=SimpleNamespace(name="html")), "page", "page.html", context, None)
    assert context["body"] == body


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("reports/a.html#b", "reports/a.xhtml#b"),
        ("one.xhtml", "one.xhtml"),
        ("#here", "#here"),
        ("https://example.org/a.html", "https://example.org/a.html"),
        ("../_static/lab/physics.js", None),
    ],
)
def test_links_lead_to_pages_of_the_book_or_to_other_hosts(given, expected):
    context = {"body": f'<a href="{given}">x</a>'}
    make_readable(SimpleNamespace(builder=SimpleNamespace(name="epub")), "page", "page.html", context, None)
    assert etree.fromstring(context["body"]).find(".//a").get("href") == expected
