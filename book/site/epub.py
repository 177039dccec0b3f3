"""Sphinx extension: the book as an EPUB, by Sphinx' own builder; ``python -m book.site.epub``, or `make epub`.

Reading devices run no scripts. Formulas are MathML, made by docutils; what is interactive stays away and its twin for
paper stands in; raw HTML becomes XHTML.
"""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from docutils.utils.math import pick_math_environment
from docutils.utils.math.latex2mathml import tex2mathml
from lxml import html
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.math import get_node_equation_number

from book.site.previews import site_address
from book.site.printing import SCREEN_ONLY, UNWRAPPED
from qpatch.files import PROJECT

BUILDER = [Path(sys.executable).parent / "jupyter-book", "build", ".", "-n", "--keep-going"]
BUILDER += ["--builder", "custom", "--custom-builder", "epub"]
NAME = "qpatch"
OF_THE_SITE = {"book.site.extension", "book.site.order", "book.site.previews", "sphinx_tippy", "sphinx_sitemap"}
ENTITY = re.compile(r"&(?!lt;|gt;|amp;|quot;)\w+;")  # which XHTML has not
UNKNOWN = {r"\\dots(?![a-z])": r"\\ldots", r"\\[bB]igg?[lr]?(?![a-zA-Z])": ""}  # to docutils; MathML's brackets grow


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.add_config_value("epub_math_renderer", "mathml", "epub")
    app.connect("config-inited", configure)
    app.connect("builder-inited", leave_site_alone, priority=400)  # before what is missing is reported
    app.connect("html-page-context", make_readable, priority=900)  # when all others have made their changes
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app: Sphinx, config: Config) -> None:
    config.html_math_renderer = "mathjax"
    config.epub_title = config.epub_description = config.html_title
    licences = [f"_static/vendor/LICENSE-{name}.txt" for name in ("popper", "tippy")]
    config.epub_exclude_files = ["index.html", *licences]
    config.epub_basename, config.epub_show_urls, config.epub_tocdepth = NAME, "no", 2


def leave_site_alone(app: Sphinx) -> None:
    """Take off what makes a site: scripts, buttons, downloads, a front door; say which book it is."""
    if app.builder.name == "epub":
        app.config.version = version(NAME)
        app.config.epub_uid, app.config.epub_identifier = NAME, site_address() or NAME
        for event in ("html-page-context", "build-finished"):
            listeners = app.events.listeners[event]
            app.events.listeners[event] = [one for one in listeners if one.handler.__module__ not in OF_THE_SITE]


def mathml(formula: str, block: bool = False) -> str:
    """A formula in LaTeX as MathML."""
    for pattern, known in UNKNOWN.items():
        formula = re.sub(pattern, known, formula)
    if block and pick_math_environment(formula) == "align*":
        formula = f"\\begin{{aligned}}{formula}\\end{{aligned}}"
    return ENTITY.sub(lambda entity: unescape(entity[0]), tex2mathml(formula, as_block=block))


def visit_inline(self, node: nodes.math) -> None:
    self.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)}) </span>')
    self.body.append(mathml(node.astext(), block=True) + "</div>")
    raise nodes.SkipNode


def make_readable(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take what needs a script out of a page of the EPUB, and write its body as XHTML."""
    if app.builder.name == "epub" and context.get("body"):
        body = html.fragment_fromstring(context["body"], create_parent="div")
        for element in body.xpath(SCREEN_ONLY):
            if element.getparent() is not None:
                element.drop_tree()
        for element in body.xpath(UNWRAPPED):
            element.drop_tag()
        for link in body.xpath(".//a[@href]"):
            lead_within(link)
        context["body"] = html.tostring(body, method="xml", encoding="unicode")


def lead_within(link: html.HtmlElement) -> None:
    """Where raw HTML links to a page of the site, to that of the EPUB; to other files of the site, nowhere."""
    address = urlsplit(link.get("href"))
    if not address.scheme and address.path.endswith(".html"):
        link.set("href", address._replace(path=address.path.removesuffix("html") + "xhtml").geturl())
    elif not address.scheme and "_static/" in address.path:
        del link.attrib["href"]


def write_epub(target: Path) -> Path:
    """Build the EPUB from what `make book` has executed and read, as ``target``, and return that.

    Raises:
        subprocess.CalledProcessError: the build failed; it has said why.
    """
    subprocess.run(BUILDER, cwd=PROJECT, check=True)
    return (PROJECT / "_build" / "epub" / f"{NAME}.epub").replace(target)


if __name__ == "__main__":
    print("The EPUB is", write_epub(Path(sys.argv[1])))
