"""Open a page of a built site in headless Chromium and say what is wrong with it."""

from __future__ import annotations

from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response

from book.site.browser import SETTLE

HEAVIEST_BYTES = 2_000_000  # of a page's own: its text, images and data
SHARED_TYPES = {"script", "stylesheet", "font"}
SHARED_FOLDER, SEARCH_INDEX = "/_static/", "/searchindex.js"
GRAVE = {"serious", "critical"}  # axe-core also knows minor and moderate faults
# Preloading would ask for style sheets by wrong addresses, for rules on the orientation of screens alone.
AXE_OPTIONS = {"resultTypes": ["violations"], "preload": False}

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
  const previewed = ["#equation-", "#fig-", "references.html#", "glossary.html#term-"];
  for (const link of all(previewed.map(target => `article a.reference.internal[href*="${target}"]`).join(", ")))
    if (!link._tippy) problems.push(`no preview of ${link.getAttribute("href")}`);
  const written = document.querySelector("article.bd-article h1") && !location.pathname.endsWith("genindex.html");
  if (written && !document.querySelector("meta[name=description][content]"))
    problems.push("no description for search engines");
  const width = document.documentElement.clientWidth;
  const cut = (element, room) => element.getBoundingClientRect().width > room.getBoundingClientRect().width + 1;
  for (const formula of all("mjx-container[display] > mjx-math"))
    if (width > 1000 && cut(formula, formula.parentElement))
      problems.push(`formula cut at ${width} px: ${formula.parentElement.textContent.slice(0, 60)}`);
  for (const table of all(".cell_output table, .pst-scrollable-table-container > table, .qpatch-runs-frame > table"))
    if (width > 1000 && cut(table, table.parentElement))
      problems.push(`table cut at ${width} px: ${table.textContent.trim().replace(/\s+/g, " ").slice(0, 60)}`);
  const regions = ".cell_output .text_html, .qpatch-frame > div, .pst-scrollable-table-container, .qpatch-runs-frame";
  for (const region of all(regions))
    if (region.scrollWidth > region.clientWidth + 1 && !region.matches(".qpatch-more"))
      problems.push(`is cut without a hint: ${(region.textContent.trim() || region.innerHTML).slice(0, 60)}`);
  for (const stop of all("span.math[tabindex='0']"))
    if (!cut(stop.querySelector("mjx-math"), stop))
      problems.push(`tab stop at a formula that is whole: ${stop.textContent}`);
  if (document.documentElement.scrollWidth > width + 1) {
    const wide = all("body *").filter(element => element.getBoundingClientRect().right > width + 1);
    const tags = wide.slice(-3).map(element => element.cloneNode(false).outerHTML.slice(0, 80));
    problems.push(`scrolls horizontally at ${width} px, for example because of ${tags.join(", ")}`);
  }
  return problems;
}"""


def find_problems(browser: Browser, url: str, *, dark: bool, width: int) -> list[str]:
    """Everything that is wrong with the page at this address, in words; an empty list if it is as it should be.

    Args:
        dark: whether the reader prefers dark pages.
        width: of the window, in CSS pixels.
    """
    scheme = "dark" if dark else "light"
    with browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}) as context:
        page = context.new_page()
        problems, responses = _listen(page, urlsplit(url).netloc)
        page.goto(url, wait_until="networkidle")
        page.evaluate(SETTLE)
        problems += page.evaluate(INSPECT)
        problems += _weigh(responses)
        problems += _access_faults(page)
        theme = page.evaluate("document.documentElement.dataset.theme")
        if theme != scheme:
            problems.append(f"theme is {theme!r} for a reader who prefers {scheme!r}")
        return list(problems)  # closing the page breaks off requests, which would be reported too


def _access_faults(page: Page) -> list[str]:
    found = Axe().run(page, options=AXE_OPTIONS).response["violations"]
    return [
        f"accessibility, {fault['impact']}: {fault['help']} ({fault['id']}): {node['html'][:120]}"
        for fault in found
        if fault["impact"] in GRAVE
        for node in fault["nodes"]
    ]


def _weigh(responses: list[Response]) -> list[str]:
    sizes = {}
    for response in responses:
        path = urlsplit(response.url).path
        shared = response.request.resource_type in SHARED_TYPES and (SHARED_FOLDER in path or path == SEARCH_INDEX)
        if not shared:
            sizes[path] = int(response.headers.get("content-length", 0))
    total = sum(sizes.values())
    if total <= HEAVIEST_BYTES:
        return []
    heaviest = sorted(sizes, key=sizes.get, reverse=True)[:5]
    parts = ", ".join(f"{path} {sizes[path] / 1e6:.2f} MB" for path in heaviest)
    return [f"weighs {total / 1e6:.2f} MB of its own, at most {HEAVIEST_BYTES / 1e6:g} MB are allowed: {parts}"]


def _listen(page: Page, host: str) -> tuple[list[str], list[Response]]:
    """Two lists that grow while the page loads: what went wrong, and what came from the site."""
    problems, responses = [], []

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
        if urlsplit(response.url).netloc == host:
            responses.append(response)

    page.on("console", on_console)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.on("request", on_request)
    page.on("response", on_response)
    page.on("requestfailed", lambda request: problems.append(f"request failed: {request.url}: {request.failure}"))
    return problems, responses
