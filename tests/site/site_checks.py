"""Open a page of a built site in headless Chromium and say what is wrong with it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Playwright

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",  # containers often run as root, where the sandbox does not start
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # WebGL in software, for three-dimensional figures
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host answers, so none is waited for
]

# What can be seen only once mathematics is set and every image, lazy ones too, has loaded or failed.
SETTLE = """async () => {
  await window.MathJax?.startup?.promise;
  await Promise.all([...document.images].map(image => {
    image.loading = "eager";
    return image.complete || new Promise(done => { image.onload = image.onerror = done; });
  }));
  await document.fonts.ready;
}"""

# Sphinx fills a missing alternative text with the name of the image file.
INSPECT = r"""() => {
  const problems = [];
  const all = selector => [...document.querySelectorAll(selector)];
  for (const image of document.images) {
    const name = (image.getAttribute("src") || "").slice(0, 80);
    const alt = (image.alt || "").trim();
    if (image.naturalWidth === 0) problems.push(`empty image: ${name}`);
    if (!alt || /\.(png|svg|jpe?g|gif|webp)$/i.test(alt)) problems.push(`image without alt text: ${name}`);
  }
  for (const figure of all("figure"))
    if (!figure.querySelector("img, svg, canvas, video, iframe, .plotly-graph-div"))
      problems.push(`figure without image: ${figure.id || figure.textContent.trim().slice(0, 80)}`);
  for (const plot of all(".plotly-graph-div"))
    if (!plot.querySelector(".main-svg")) problems.push(`interactive figure not drawn: ${plot.id}`);
  for (const math of all(".math"))
    if (!math.querySelector("mjx-container")) problems.push(`formula not set: ${math.textContent.slice(0, 80)}`);
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width + 1) {
    const wide = all("body *").filter(element => element.getBoundingClientRect().right > width + 1);
    const tags = wide.slice(-3).map(element => element.cloneNode(false).outerHTML.slice(0, 80));
    problems.push(`scrolls horizontally at ${width} px, for example because of ${tags.join(", ")}`);
  }
  return problems;
}"""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """The address under which a folder is served on this machine, from a thread."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def launch_chromium(playwright: Playwright) -> Browser:
    """The system's own Chromium, so that Playwright need not download one.

    Raises:
        FileNotFoundError: there is none.
    """
    found = [path for path in map(shutil.which, CHROMIUM_NAMES) if path]
    if not found:
        raise FileNotFoundError(
            f"no Chromium on the PATH, looked for {', '.join(CHROMIUM_NAMES)}; install one: apt-get install chromium"
        )
    return playwright.chromium.launch(executable_path=found[0], args=CHROMIUM_ARGUMENTS)


def find_problems(browser: Browser, url: str, *, dark: bool, width: int) -> list[str]:
    """Everything that is wrong with the page at this address, in words; an empty list if it is as it should be.

    Args:
        dark: whether the reader prefers dark pages.
        width: of the window, in CSS pixels.
    """
    scheme = "dark" if dark else "light"
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        problems = _listen(page, urlsplit(url).netloc)
        page.goto(url, wait_until="networkidle")
        page.evaluate(SETTLE)
        problems += page.evaluate(INSPECT)
        theme = page.evaluate("document.documentElement.dataset.theme")
        if theme != scheme:
            problems.append(f"theme is {theme!r} for a reader who prefers {scheme!r}")
        return list(problems)  # closing the page breaks off requests, which would be reported too


def _listen(page: Page, host: str) -> list[str]:
    problems = []

    def on_console(message):
        if message.type == "error":
            problems.append(f"console error: {message.text} ({message.location['url']})")

    def on_request(request):
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != host:
            problems.append(f"request to another host: {request.url}")

    def on_response(response):
        if response.status >= 400:
            problems.append(f"status {response.status}: {response.url}")

    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: problems.append(f"request failed: {request.url}: {request.failure}"))
    return problems
