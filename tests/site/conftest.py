import pytest
from playwright.sync_api import sync_playwright

from book.site.browser import launch_chromium


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """A function from an address and a context's options to the page; at the end no script must have failed."""
    contexts, problems = [], []

    def open_page(url: str, **options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(url, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not problems, "\n".join(problems)
