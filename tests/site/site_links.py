"""Which references within a built site lead nowhere: files that are not there, anchors that no element bears."""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

from lxml import html


def site_pages(site: Path) -> list[str]:
    """The addresses of a site's pages, relative to its folder.

    Folders with an underscore hold the theme's templates, sources and downloads.
    """
    paths = sorted(path.relative_to(site) for path in site.rglob("*.html"))
    return [path.as_posix() for path in paths if not any(part.startswith("_") for part in path.parts)]


def broken_links(site: Path) -> list[str]:
    """Each reference of a page to something in the site that is not there, as "page: reference, what is missing"."""
    anchors = cache(lambda path: _anchors(site / path))
    broken = []
    for page in site_pages(site):
        links = html.parse(site / page).getroot().iterlinks()
        references = {reference for element, _, reference, _ in links if element.tag != "base"}  # which leads nowhere
        for reference in sorted(references):
            missing = _what_is_missing(site, page, reference.strip(), anchors)
            if missing:
                broken.append(f"{page}: {reference}, no such {missing}")
    return broken


def _what_is_missing(site: Path, page: str, reference: str, anchors) -> str | None:
    if urlsplit(reference).scheme or reference.startswith("//"):
        return None  # elsewhere, or data within the page
    address = urlsplit(urljoin(f"/{page}", reference))
    path = unquote(address.path).lstrip("/")
    if not path or path.endswith("/"):
        path += "index.html"
    if not (site / path).is_file():
        return "file"
    fragment = unquote(address.fragment)
    if fragment and PurePosixPath(path).suffix == ".html" and fragment not in anchors(path):
        return "anchor"
    return None


def _anchors(path: Path) -> set[str]:
    return set(html.parse(path).getroot().xpath("//@id | //a/@name"))
