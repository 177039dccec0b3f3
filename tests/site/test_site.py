"""Every page of the built book, as readers see it: light on a wide screen, dark on a phone."""

from pathlib import Path

import pytest
from site_checks import find_problems
from site_links import site_pages

from book.site.browser import serve

SITE = Path(__file__).parents[2] / "_build" / "html"
PAGES = [page for page in site_pages(SITE) if page != "404.html"]  # which has no theme
if "index.html" not in PAGES:
    raise FileNotFoundError(f"no index.html in {SITE}; run `make book` first")


@pytest.fixture(scope="module")
def address():
    with serve(SITE) as address:
        yield address


@pytest.mark.parametrize(("dark", "width"), [(False, 1400), (True, 390)], ids=["light-wide", "dark-phone"])
@pytest.mark.parametrize("page", PAGES)
def test_page(browser, address, page, dark, width):
    problems = find_problems(browser, f"{address}/{page}", dark=dark, width=width)
    assert not problems, "\n".join([page, *problems])
