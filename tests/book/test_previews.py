"""What a page is said to be about before it is opened, and its picture."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document
from sphinx.errors import ExtensionError

from book.site import previews


def box(name: str, *children: nodes.Node) -> nodes.admonition:
    return nodes.admonition("", nodes.title(text="Heading"), nodes.paragraph("", "", *children), classes=[name])


def figure(name: str) -> nodes.figure:
    return nodes.figure("", nodes.image(uri=f"../../_images/{name}.svg", alt=f"a {name}"), ids=[f"fig-{name}"])


@pytest.fixture
def chapter():
    document = new_document("chapter", get_default_settings())
    document += nodes.paragraph(text="How it begins.")
    document += box(
        "learn",
        nodes.Text("What one  learns of "),
        nodes.math(text=r"\lambda"),
        nodes.Text('"all"\nthis.'),
        nodes.raw("", "<a>"),
    )
    document += [figure("first"), figure("second")]
    return document


def described(monkeypatch, document, address: str) -> dict:
    monkeypatch.setenv(previews.SITE_VARIABLE, address)
    builder = SimpleNamespace(get_target_uri=lambda page: f"{page}.html")
    app = SimpleNamespace(builder=builder, config=SimpleNamespace(qpatch_pictures=set()))
    context = {"metatags": "", "meta": None}
    previews.describe(app, "book/paper/chapter", "page.html", context, document)
    return context


def test_a_page_is_about_what_it_says_one_will_learn(monkeypatch, chapter):
    context = described(monkeypatch, chapter, "")
    assert context["metatags"] == '<meta name="description" content="What one learns of &quot;all&quot; this.">\n'
    assert context["meta"] == {"og:description": 'What one learns of "all" this.'}  # no picture without an address


def test_other_pages_are_about_how_they_begin(chapter):
    assert previews.description(nodes.section("", nodes.paragraph(text="How it begins."))) == "How it begins."
    assert previews.description(nodes.section("")) == ""


def test_long_descriptions_are_cut_between_words():
    cut = previews.description(nodes.section("", nodes.paragraph(text="word " * 100)))
    assert cut == "word " * 59 + "…"  # the longest that has at most 300 characters
    assert len(cut) <= previews.LONGEST


@pytest.mark.parametrize("address", ["https://example.org/qpatch", "https://example.org/qpatch/"])
def test_a_chapters_picture_is_the_one_to_remember(monkeypatch, chapter, address):
    first = described(monkeypatch, chapter, address)["meta"]
    chapter += box("summary", nodes.reference(refid="fig-second", text="Fig. 2"))
    second = described(monkeypatch, chapter, address)["meta"]
    found = [(meta["og:image"], meta["og:image:alt"]) for meta in (first, second)]
    assert found == [
        ("https://example.org/qpatch/_images/first.png", "a first"),
        ("https://example.org/qpatch/_images/second.png", "a second"),
    ]


@pytest.mark.parametrize("address", ["example.org", "https://", "file:///tmp/site", "https://example.org/a b"])
def test_what_is_no_address_is_refused(monkeypatch, address):
    monkeypatch.setenv(previews.SITE_VARIABLE, address)
    with pytest.raises(
        ExtensionError, match=f"{previews.SITE_VARIABLE} is '{address}'; write it as https://host/path/"
    ):
        previews.site_address()


@pytest.mark.parametrize(("address", "base"), [("", "/"), ("https://example.org/some/where", "/some/where/")])
def test_the_page_for_wrong_addresses_finds_the_site(monkeypatch, tmp_path, address, base):
    monkeypatch.setenv(previews.SITE_VARIABLE, address)
    config = SimpleNamespace(root_doc="book/index", html_title="A & B")
    previews.write_not_found(
        SimpleNamespace(builder=SimpleNamespace(format="html"), outdir=tmp_path, config=config), None
    )
    text = (tmp_path / "404.html").read_text()
    assert f'<base href="{base}">' in text
    assert 'href="book/index.html"' in text
    assert "A &amp; B" in text
