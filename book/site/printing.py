"""The whole book as one PDF: ``python -m book.site.printing``, or `make pdf`.

The pages of the built site, in the order of the table of contents, are joined into one and printed by Chromium: nothing
is executed again, links lead within the file, headings become its outline. `book/_static/print.css` says how it looks.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

from lxml import html
from playwright.sync_api import Page, sync_playwright
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

from book.site.browser import SETTLE, launch_chromium, serve

BOOK_PAGE = "book.html"
# What is of use on a screen only: scripts, what they draw, links to files beside the pages, anchors beside headings,
# code that is folded away.
SCREEN_ONLY = """.//script | .//*[contains(@class, 'qpatch-interactive') or contains(@class, 'qpatch-explorer')]
    | .//*[contains(@class, 'qpatch-online')]
    | .//a[@class='headerlink'] | .//details[contains(@class, 'hide')]//div[contains(@class, 'cell_input')]
    | .//details/summary"""
UNWRAPPED = ".//noscript | .//details"  # their content takes their place
HEADINGS = """() => [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")]
    .filter(heading => heading.checkVisibility()).map(heading => heading.textContent.replace(/\\s+/g, " ").trim())"""
NUMBER_CONTENTS = """pages => {
  for (const link of document.querySelectorAll(".qpatch-contents a")) {
    const number = link.appendChild(document.createElement("span"));
    number.textContent = pages[link.hash.slice(1)];
  }
}"""
FOOTER = """<div style="width: 100%; font: 8pt sans-serif; text-align: center; color: #444">
<span class="pageNumber"></span></div>"""


def print_book(site: Path, target: Path) -> Path:
    """Print the site in folder ``site`` into the PDF file ``target`` and return that.

    Raises:
        FileNotFoundError: there is no site in the folder, or no Chromium on the PATH.
    """
    book = join_pages(site)
    partial = target.with_suffix(".partial")
    with sync_playwright() as playwright, serve(site) as address:
        browser = launch_chromium(playwright)
        page = browser.new_page(color_scheme="light")
        page.route(f"{address}/{BOOK_PAGE}", lambda route: route.fulfill(body=book, content_type="text/html"))
        page.goto(f"{address}/{BOOK_PAGE}", wait_until="networkidle", timeout=120_000)
        page.emulate_media(media="print")
        page.evaluate(SETTLE)
        _print(page, partial)
        page.evaluate(NUMBER_CONTENTS, _page_numbers(partial))
        _print(page, partial)
        headings = page.evaluate(HEADINGS)
        browser.close()
    _name_outline(partial, headings)
    return partial.replace(target)


def _print(page: Page, path: Path) -> None:
    page.pdf(
        path=path, prefer_css_page_size=True, print_background=True, outline=True, tagged=True,
        display_header_footer=True, header_template="<span></span>", footer_template=FOOTER,
    )  # fmt: skip


def _page_numbers(path: Path) -> dict[str, int]:
    """On which page each anchor of a PDF is that something links to."""
    pdf = PdfReader(path)
    anchors = pdf.named_destinations.items()
    return {name.lstrip("/"): pdf.get_destination_page_number(anchor) + 1 for name, anchor in anchors}


def _name_outline(path: Path, titles: list[str]) -> None:
    """Give the entries of a PDF's outline the words of the headings: Chromium runs them together where lines wrap."""
    pdf = PdfWriter(clone_from=path)
    entries = list(_below(pdf.root_object["/Outlines"]))
    for entry, title in zip(entries, titles, strict=True):
        entry[NameObject("/Title")] = TextStringObject(title)
    pdf.write(path)


def _below(entry: DictionaryObject) -> Iterator[DictionaryObject]:
    child = entry.get("/First")
    while child is not None:
        child = child.get_object()
        yield child
        yield from _below(child)
        child = child.get("/Next")


def join_pages(site: Path) -> str:
    """One HTML page that holds the text of all pages of a site, in the order of reading, after a list of contents."""
    names = reading_order(site)
    trees = {name: html.parse(site / name).getroot() for name in names}
    prefixes = {name: f"p{number}" for number, name in enumerate(names)}
    first = trees[names[0]]
    book = html.document_fromstring("<html lang='en' data-theme='light' data-mode='light'><body></body></html>")
    head = html.fromstring("<head><meta charset='utf-8'></head>")
    book.insert(0, head)
    for element in _head_elements(trees):
        head.append(element)
    text = html.fromstring("<main class='bd-content qpatch-book'></main>")
    book.body.append(text)
    text.append(_cover(first, lambda link: _within(link, names[0], prefixes)))
    for name in names:
        text.append(_article(trees[name], name, prefixes))
    return "<!doctype html>" + html.tostring(book, encoding="unicode")


def reading_order(site: Path) -> list[str]:
    """The addresses of a site's pages, from its title page through all that the list of contents beside it names.

    Raises:
        FileNotFoundError: the folder holds no built site.
    """
    if not (site / "index.html").is_file():
        raise FileNotFoundError(f"there is no index.html in {site}; run `make book` first")
    refresh = html.parse(site / "index.html").getroot().xpath("string(//meta[@http-equiv='Refresh']/@content)")
    name = refresh.partition("url=")[2] or "index.html"
    links = html.parse(site / name).getroot().xpath("//nav[contains(@class, 'bd-docs-nav')]//a/@href")
    addresses = [urldefrag(urljoin(name, link)).url for link in links if not urlsplit(link).scheme]
    return list(dict.fromkeys([name, *addresses]))


def _head_elements(trees: dict[str, html.HtmlElement]) -> list[html.HtmlElement]:
    """The title, every stylesheet, and MathJax with its settings, each once."""
    found = {"title": html.fragment_fromstring("<title>x</title>")}
    first = next(iter(trees.values()))
    found["title"].text = _book_title(first)
    for name, tree in trees.items():
        for element in tree.xpath("//link[@rel='stylesheet'] | //script[contains(@src, 'mathjax')] | //head/script"):
            element = copy.deepcopy(element)
            element.tail = None
            for attribute in ("href", "src"):
                if attribute in element.attrib:
                    element.set(attribute, urljoin(f"/{name}", element.get(attribute)))
            address = element.get("href") or element.get("src")
            if element.tag == "link" or (address and "mathjax" in address) or "window.MathJax" in (element.text or ""):
                found.setdefault(address or "settings", element)
    return list(found.values())


def _book_title(page: html.HtmlElement) -> str:
    return page.xpath("normalize-space(//*[contains(@class, 'logo__title')])")


def _cover(first: html.HtmlElement, within: Callable[[str], str | None]) -> html.HtmlElement:
    """The book's title and its contents, as the sidebar lists them."""
    cover = html.fromstring("<nav class='qpatch-contents'><p class='qpatch-title'></p></nav>")
    cover[0].text = _book_title(first)
    for part in first.xpath("//nav[contains(@class, 'bd-docs-nav')]//div[contains(@class, 'bd-toc-item')]/*"):
        cover.append(copy.deepcopy(part))
    for caption in cover.xpath(".//*[@role='heading']"):
        del caption.attrib["role"]  # the outline lists the parts' chapters, not the list of contents
    _make_printable(cover, within)
    return cover


def _article(tree: html.HtmlElement, name: str, prefixes: dict[str, str]) -> html.HtmlElement:
    article = copy.deepcopy(tree.xpath("//article")[0])
    article.tail = None
    prefix = prefixes[name]
    for element in article.xpath(".//*[@id]"):
        element.set("id", f"{prefix}-{element.get('id')}")
    article.set("id", prefix)
    for image in article.iter("img"):
        image.attrib.pop("loading", None)  # nothing scrolls into view on paper
        image.set("src", urljoin(f"/{name}", image.get("src")))
    _make_printable(article, lambda link: _within(link, name, prefixes))
    return article


def _make_printable(part: html.HtmlElement, within: Callable[[str], str | None]) -> None:
    for element in part.xpath(SCREEN_ONLY):
        if element.getparent() is not None:
            element.drop_tree()
    for element in part.xpath(UNWRAPPED):
        element.drop_tag()
    for link in part.xpath(".//a[@href]"):
        address = within(link.get("href"))
        if address is None:
            del link.attrib["href"]
        else:
            link.set("href", address)


def _within(link: str, name: str, prefixes: dict[str, str]) -> str | None:
    """Where a link of the page ``name`` leads in the joined page; None if to a file that is not part of the book."""
    if urlsplit(link).scheme:
        return link
    target, fragment = urldefrag(urljoin(name, link))
    if target not in prefixes:
        return None
    return f"#{prefixes[target]}" + (f"-{fragment}" if fragment else "")


if __name__ == "__main__":
    print("The book is printed to", print_book(*map(Path, sys.argv[1:])))
