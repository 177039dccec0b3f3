"""Sphinx extension: what search engines and link previews show of a page before it is opened.

Every page gets a description. Where the environment names the site's public address, pages also get the tags of Open
Graph (sphinxext-opengraph), with the figure to remember of a chapter as its picture, and the site a list of its pages
(sphinx-sitemap): both need whole addresses. Previews show no SVG, so Chromium draws the figures as PNG. A page for
addresses that do not exist is written in any case.
"""

from __future__ import annotations

import base64
import html
import os
import posixpath
import re
from pathlib import Path
from textwrap import shorten
from urllib.parse import urljoin, urlsplit

from docutils import nodes
from playwright.sync_api import Browser, sync_playwright
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from book.site.browser import launch_chromium

SITE_VARIABLE = "QPATCH_SITE_URL"
LONGEST = 300  # characters of a description
PICTURE = {"width": 1200, "height": 630}  # pixels, as those who show previews recommend
UNTOLD = (nodes.math, nodes.raw)  # in descriptions
NOT_FOUND = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<base href="{base}">
<link rel="icon" href="data:,">
<title>No such page: {title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem; }}
</style>
</head>
<body><main>
<h1>There is no such page</h1>
<p>It may have been renamed. <a href="{page}.html">The front page of <cite>{title}</cite></a> leads everywhere,
and <a href="search.html">the search</a> knows every word.</p>
</main></body>
</html>
"""


def setup(app: Sphinx) -> dict:
    app.add_config_value("qpatch_pictures", set(), "")  # names of the figures that pages have as their pictures
    if site_address():
        app.setup_extension("sphinxext.opengraph")
        app.setup_extension("sphinx_sitemap")
        app.connect("config-inited", name_address)
        app.connect("build-finished", draw_pictures)
    app.connect("html-page-context", describe, priority=400)  # before Open Graph writes its tags
    app.connect("build-finished", write_not_found)
    app.connect("build-finished", clear_away, priority=600)  # after sphinx-tippy
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def site_address() -> str:
    """The site's public address, with a slash at its end, from the environment; empty of none.

    ExtensionError for what is no address of a site.
    """
    given = os.environ.get(SITE_VARIABLE, "").strip()
    if given and not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[\w./~-]*)?", given):
        raise ExtensionError(f"{SITE_VARIABLE} is {given!r}; write it as https://host/path/, or leave it empty")
    return given.rstrip("/") + "/" if given else ""


def name_address(app: Sphinx, config: Config) -> None:
    """Tell Sphinx and the two extensions where the site will be."""
    config.html_baseurl = config.ogp_site_url = site_address()
    config.ogp_site_name = config.html_title
    config.sitemap_url_scheme = "{link}"
    config.sitemap_excludes = ["search.html", "genindex.html"]


def describe(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    """Write a page's `description` into it, and name both that and its `picture` for Open Graph."""
    if doctree is None or not (text := description(doctree)):
        return
    context["metatags"] += f'<meta name="description" content="{html.escape(text)}">\n'
    told = {"og:description": text}
    if (address := site_address()) and (image := picture(doctree)):
        here = posixpath.join(address, app.builder.get_target_uri(pagename))
        shown = re.sub(r"\.svg$", ".png", image["uri"])
        told |= {"og:image": urljoin(here, shown), "og:image:alt": image.get("alt", "")}
        app.config.qpatch_pictures.add(posixpath.basename(image["uri"]))
    context["meta"] = (context["meta"] or {}) | told


def description(doctree: nodes.document) -> str:
    """What a page is about: what it says one will learn, else how it begins; at most `LONGEST` characters."""
    boxes = [box for box in doctree.findall(nodes.admonition) if "learn" in box["classes"]]
    for paragraph in (boxes or [doctree])[0].findall(nodes.paragraph):
        words = [part for part in paragraph.findall(nodes.Text) if not isinstance(part.parent, UNTOLD)]
        return shorten("".join(words), LONGEST, placeholder=" …")
    return ""


def picture(doctree: nodes.document) -> nodes.image | None:
    """The figure that a chapter's summary refers to, else the first of the page; None of a page without one."""
    images = {name: image for image in doctree.findall(nodes.image) for name in image.parent.get("ids", ())}
    for box in doctree.findall(nodes.admonition):
        if "summary" in box["classes"]:
            for link in box.findall(nodes.reference):
                if link.get("refid") in images:
                    return images[link["refid"]]
    return next(iter(images.values()), None)


def draw_pictures(app: Sphinx, error: Exception | None) -> None:
    """Put a PNG beside every SVG that is the picture of a page."""
    folder = Path(app.outdir) / app.builder.imagedir
    drawings = [folder / name for name in sorted(app.config.qpatch_pictures) if name.endswith(".svg")]
    if error is None and drawings:
        with sync_playwright() as playwright:
            browser = launch_chromium(playwright)
            for drawing in drawings:
                draw_picture(browser, drawing, drawing.with_suffix(".png"))
            browser.close()


def draw_picture(browser: Browser, drawing: Path, target: Path) -> None:
    """Draw an SVG as large as it fits on a white PNG of the size `PICTURE`."""
    data = base64.b64encode(drawing.read_bytes()).decode()
    style = f"width: {PICTURE['width'] - 40}px; height: {PICTURE['height'] - 40}px; object-fit: contain"
    page = browser.new_page(viewport=PICTURE)
    page.set_content(f'<body style="margin: 20px"><img style="{style}" src="data:image/svg+xml;base64,{data}">')
    page.evaluate("document.images[0].decode()")
    page.screenshot(path=target)
    page.close()


def clear_away(app: Sphinx, error: Exception | None) -> None:
    """Delete the empty files that sphinx-tippy keeps for previews of other hosts' pages, of which the book has none."""
    for path in Path(app.outdir).glob("tippy_*_cache.json"):
        path.unlink()


def write_not_found(app: Sphinx, error: Exception | None) -> None:
    """A page that hosts show for addresses that do not exist, at any depth: its links are relative to the site's."""
    if error is None and app.builder.format == "html":
        base = urlsplit(site_address()).path or "/"
        text = NOT_FOUND.format(base=base, page=app.config.root_doc, title=html.escape(app.config.html_title))
        (Path(app.outdir) / "404.html").write_text(text, encoding="utf-8")
