"""Hover previews of the built book: what they show, by mouse and by keyboard, and that they go."""

from playwright.sync_api import expect
from test_site import SITE

from book.site.browser import serve

PAGE = "book/replication/plan.html"  # what it refers to is on other pages


def test_references_show_what_they_refer_to(open_page):
    with serve(SITE) as address:
        page = open_page(f"{address}/{PAGE}")
        page.wait_for_function("document.querySelector('mjx-container')")
        tip = page.locator("[data-tippy-root]")
        for target, shown in (
            ("#equation-", "mjx-container[display=true]"),
            ("seeds.html#fig-", "figure img"),  # its address is another from here
            ("references.html#", "text=Schuirmann"),
        ):
            link = page.locator(f"article a[href*='{target}']").first
            link.focus()
            expect(tip.locator(shown)).to_be_visible()
            if "img" in shown:
                assert tip.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
            page.keyboard.press("Escape")
            expect(tip).to_have_count(0)
            link.blur()
        link.hover()
        expect(tip).to_be_visible()
