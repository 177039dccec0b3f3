"""The built book in the system's own Chromium: to check its pages, and to print them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Playwright

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

# What can be seen only once mathematics is set and every image, lazy ones too, has loaded or failed. Deferred scripts,
# MathJax among them, have run when the page has loaded, and not before: a busy machine is idle on the network first.
SETTLE = """async () => {
  if (document.readyState !== "complete") await new Promise(done => addEventListener("load", done));
  await window.MathJax?.startup?.promise;
  await Promise.all([...document.images].map(image => {
    image.loading = "eager";
    return image.complete || new Promise(done => { image.onload = image.onerror = done; });
  }));
  await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));  // fonts are asked for when seen
  await document.fonts.ready;
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
