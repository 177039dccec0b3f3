"""Sphinx extension of the book: what `_config.yml` alone cannot say.

* Before a build it renders the run reports (`qpatch.reports`), so that the table of contents finds them.
* plotly.js and MathJax come from the installed packages into the site: no page asks another host for anything.
* Every chapter can be downloaded as an executed notebook.
* Links to the repository and launch buttons appear where the environment names the repository's address.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import plotly
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util import logging

REPOSITORY_VARIABLE = "QPATCH_REPOSITORY_URL"
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml", "input/tex/extensions")
logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict:
    leave_out_thebe(app)
    # 400: before the table of contents is read, at the default priority of 500.
    app.connect("config-inited", render_run_reports, priority=400)
    app.connect("config-inited", link_repository, priority=400)
    app.connect("html-page-context", offer_notebook, priority=400)  # before the theme makes its buttons
    app.connect("html-page-context", add_plotly)
    app.connect("build-finished", ship_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_out_thebe(app: Sphinx) -> None:
    """Take back what sphinx-thebe would put on every page: the address of a script on another host."""
    for event, listeners in app.events.listeners.items():
        kept = [listener for listener in listeners if listener.handler.__module__ != "sphinx_thebe"]
        if event != "builder-inited":  # its stylesheet is in the pages' heads and must be there
            app.events.listeners[event] = kept


def render_run_reports(app: Sphinx, config: Config) -> None:
    """Execute the report of every stored run; a book without a single run is an error that tells the remedy."""
    from qpatch.reports import render_reports
    from qpatch.results import stored_runs

    runs = stored_runs()
    if not runs:
        raise ExtensionError("there are no results to show; make some with 'qpatch sweep --profile class'")
    logger.info("[qpatch] rendering %d run reports", len(runs))
    render_reports(runs)


def link_repository(app: Sphinx, config: Config) -> None:
    """Buttons for the repository, its issues and Binder, where the environment names its address."""
    options = dict(config.html_theme_options)
    address = os.environ.get(REPOSITORY_VARIABLE, "").rstrip("/")
    if address:
        options |= {
            "repository_url": address,
            "repository_branch": "main",
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"},
        }
    else:
        for key in ("repository_url", "repository_branch", "path_to_docs", "launch_buttons"):
            options.pop(key, None)
    config.html_theme_options = options


def offer_notebook(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Let readers download a chapter as an executed .ipynb; the theme does so only beside launch buttons."""
    executed = (Path(app.outdir).parent / "jupyter_execute" / pagename).with_suffix(".ipynb")
    source = app.env.doc2path(pagename, base=False)
    if executed.is_file() and str(source).endswith(".md"):
        target = (Path(app.outdir) / "_sources" / pagename).with_suffix(".ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(executed, target)
        context["ipynb_source"] = f"{pagename}.ipynb"


def add_plotly(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Load plotly.js on the pages that hold an interactive figure, and on no other."""
    if "plotly-graph-div" in context.get("body", ""):
        app.add_js_file("plotly.min.js")


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
