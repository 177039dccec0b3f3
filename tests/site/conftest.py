import pytest
from playwright.sync_api import sync_playwright

from book.site.browser import launch_chromium


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()
