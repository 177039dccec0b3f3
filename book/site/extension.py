"""Sphinx extension of the book: what `_config.yml` alone cannot say.

* Before a build it executes chapters and run reports (`book.site.execution`), so that the table of contents finds
  these and Sphinx has only to read.
* plotly.js and MathJax come from the installed packages into the site: no page asks another host for anything.
* The page on which a model trains gets its digits, and its engine the numbers that it is tested against.
* Every chapter can be downloaded as an executed notebook.
* Links to the repository and launch buttons appear where the environment names the repository's address.
* The site's address leads to the title page.
* What the theme leaves unnamed or misnamed for screen readers is put right.
"""

from __future__ import annotations

import html
import importlib.util
import os
import re
import shutil
from pathlib import Path

import plotly
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx_external_toc.parsing import parse_toc_yaml

from book.site.downloads import write_download
from book.site.myst import collect_labels

REPOSITORY_VARIABLE = "QPATCH_REPOSITORY_URL"
BRANCH_VARIABLE = "QPATCH_REPOSITORY_BRANCH"
EXPLORER_SCRIPTS = ("explorer.js", "patch_explorer.js", "run_explorer.js", "run_table.js")  # in this order
LAB_ENGINE, LAB_VIEW = "digits physics training curvature worker", "charts views pad story address team lab"
LAB_SCRIPTS = tuple(f"lab/{part}.js" for part in f"{LAB_ENGINE} {LAB_VIEW}".split())  # likewise
FRONT_DOOR = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Refresh" content="0; url={page}.html">
<link rel="icon" href="data:,">
<title>{title}</title>
</head>
<body><main><h1>{title}</h1><a href="{page}.html">To the book</a></main></body>
</html>
"""
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml", "input/tex/extensions")
NEWS = "[qpatch] "  # begins the lines of progress
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict:
    leave_out_thebe(app)
    app.add_config_value("qpatch_executed", {}, "")  # file of the outputs of each chapter
    # 400: before the table of contents is read, at the default priority of 500.
    app.connect("config-inited", link_repository, priority=300)  # chapters name the repository, too
    app.connect("config-inited", execute_notebooks, priority=400)
    app.connect("builder-inited", read_executed, priority=600)  # after myst-nb has made its configuration
    app.connect("html-page-context", offer_notebook, priority=400)  # before the theme makes its buttons
    app.connect("html-page-context", add_scripts)
    app.connect("html-page-context", name_sidebar_toggles, priority=600)  # after the theme has made its functions
    app.connect("html-page-context", repair_roles)
    app.connect("build-finished", ship_scripts)
    app.connect("build-finished", ship_lab)
    app.connect("build-finished", write_front_door)
    app.connect("build-finished", write_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_out_thebe(app: Sphinx) -> None:
    """Take back what sphinx-thebe would put on every page: the address of a script on another host."""
    for event, listeners in app.events.listeners.items():
        kept = [listener for listener in listeners if listener.handler.__module__ != "sphinx_thebe"]
        if event != "builder-inited":  # its stylesheet is in the pages' heads and must be there
            app.events.listeners[event] = kept


def execute_notebooks(app: Sphinx, config: Config) -> None:
    """Execute every chapter and the report of every stored run, and leave them for Sphinx to read.

    A book without a single run is an error that tells the remedy.
    """
    from book.site import execution, reports

    runs = reports.reported_runs()
    if not runs:
        raise ExtensionError("there are no results to show; make some with 'qpatch sweep --profile class'")
    contents = parse_toc_yaml(Path(app.srcdir) / config.external_toc_path)
    pages = execution.chapters(contents, config.nb_execution_excludepatterns)
    reported = [reports.report(run) for run in runs]

    def report(line: str) -> None:
        logger.info("%s%s", NEWS, line)

    try:
        files = execution.execute([*pages, *reported], config.nb_execution_timeout, report)
    except execution.ExecutionError as error:
        raise ExtensionError(str(error)) from error
    reports.remove_reports(runs)
    for run, file in zip(runs, files[len(pages) :], strict=True):
        reports.write_report(file, reports.report_file(run))
    config.qpatch_executed = {
        str(Path(app.srcdir) / page.place): str(file) for page, file in zip(pages, files[: len(pages)], strict=True)
    }


def read_executed(app: Sphinx) -> None:
    """Let Sphinx read each chapter together with the outputs that its execution has left; see `execution.read`."""
    app.env.mystnb_config.custom_formats |= {
        page: ("book.site.execution.read", {"executed": file}, False)
        for page, file in app.config.qpatch_executed.items()
    }


def repository_address(given: str) -> str:
    """The web address ``https://host/owner/name`` of a repository, also from an address to clone it; empty of none.

    ExtensionError for what names no repository.
    """
    found = re.fullmatch(r"(?:(https?)://|ssh://|)(?:[^@/\s]+@)?([\w.-]+(?::\d+)?)[/:](.*)", given.strip())
    scheme, host, path = found.groups() if found else ("", "", given)
    path = path.strip("/").removesuffix(".git")
    host = host if scheme else host.split(":")[0]  # the port is another's
    if not given.strip():
        return ""
    if not found or "." not in host or not re.fullmatch(r"[\w.~-]+(/[\w.~-]+)+", path):
        raise ExtensionError(
            f"{REPOSITORY_VARIABLE} is {given!r}; write it as https://host/owner/name, or leave it empty"
        )
    return f"{scheme or 'https'}://{host}/{path}"


def link_repository(app: Sphinx, config: Config) -> None:
    """Buttons for the repository, its issues and Binder, where the environment names its address (and branch).

    The addresses of a host that has neither "gitlab" nor "bitbucket" in its name are taken to be like GitHub's.
    """
    options = dict(config.html_theme_options)
    if address := repository_address(os.environ.get(REPOSITORY_VARIABLE, "")):
        os.environ[REPOSITORY_VARIABLE] = address  # for the chapters that name it
        provider = next((name for name in ("gitlab", "bitbucket") if name in address.split("/")[2]), "github")
        options |= {
            "repository_provider": provider,
            "repository_url": address,
            "repository_branch": os.environ.get(BRANCH_VARIABLE) or "main",
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": provider != "bitbucket",  # for which the theme has none
            "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
        }
    else:
        for key in ("repository_provider", "repository_url", "repository_branch", "path_to_docs", "launch_buttons"):
            options.pop(key, None)
    config.html_theme_options = options


def offer_notebook(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Let readers download a chapter as an executed .ipynb; the theme does so only beside launch buttons."""
    if _executed(app, pagename):
        context["ipynb_source"] = f"{pagename}.ipynb"


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Put the notebooks to download where the theme's buttons look; beside launch buttons it has put plainer ones."""
    if error is not None or app.builder.format != "html":
        return
    executed = {name: path for name in app.env.found_docs if (path := _executed(app, name))}
    pages = {name: Path(app.env.doc2path(name)) for name in executed}
    labels = collect_labels(sorted(pages.values()))
    for name, path in executed.items():
        write_download(path, (Path(app.outdir) / "_sources" / name).with_suffix(".ipynb"), pages[name], labels)


def _executed(app: Sphinx, pagename: str) -> Path | None:
    """The notebook that the build has executed for a page in Markdown; None for other pages."""
    executed = (Path(app.outdir).parent / "jupyter_execute" / pagename).with_suffix(".ipynb")
    source = str(app.env.doc2path(pagename, base=False))
    return executed if executed.is_file() and source.endswith(".md") else None


def add_scripts(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load plotly.js on the pages that hold an interactive figure, the explorers' files where one of them is."""
    body = context.get("body", "")
    if "plotly-graph-div" in body or 'data-explorer="runs"' in body:
        app.add_js_file("plotly.min.js")
    if 'class="qpatch-explorer"' in body or "qpatch-runs" in body:
        app.add_css_file("explorer.css")
        for name in EXPLORER_SCRIPTS:
            app.add_js_file(name, loading_method="defer")
    if 'data-explorer="lab"' in body:
        app.add_css_file("lab/lab.css")
        for name in LAB_SCRIPTS:
            app.add_js_file(name, loading_method="defer")


def name_sidebar_toggles(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Give the arrows that unfold a chapter's pages in the sidebar a name for screen readers."""
    generate = context["generate_toctree_html"]

    def generate_named(*args, **kwargs):
        tree = generate(*args, **kwargs)
        for toggle in tree.select("li > details > summary"):
            link = toggle.find_parent("li").find("a")
            toggle["aria-label"] = f"Pages of {link.get_text(strip=True)}"
        return tree

    context["generate_toctree_html"] = generate_named


def repair_roles(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Take the roles off the bibliography: a list that holds no list items tells screen readers less than none."""
    body = context.get("body", "")
    context["body"] = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">').replace(
        ' role="doc-biblioentry"', ""
    )


def write_front_door(app: Sphinx, error: Exception | None) -> None:
    """A page that leads on to the title page; that of sphinx-external-toc has no title and no language.

    Its icon is empty: a browser that leaves the page at once would ask for one in vain.
    """
    if error is None and app.builder.format == "html":
        text = FRONT_DOOR.format(page=app.config.master_doc, title=html.escape(app.config.html_title))
        (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def ship_lab(app: Sphinx, error: Exception | None) -> None:
    """Write the digits and the reference numbers of the page on which a model trains; see `book.site.lab`."""
    from book.site import lab

    if error is None and app.builder.format == "html":
        lab.write_lab(Path(app.outdir) / "_static")


def ship_scripts(app: Sphinx, error: Exception | None) -> None:
    """Copy plotly.js and the parts of MathJax that the book uses into the site's static files."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    shutil.copyfile(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", static / "plotly.min.js")
    source = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for part in MATHJAX_PARTS:
        target = static / "mathjax" / part
        if (source / part).is_dir():
            shutil.copytree(source / part, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / part, target)
