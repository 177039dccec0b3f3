"""Sphinx extension: *next* and *previous* lead from chapter to chapter.

A chapter may have pages of its own below it, such as the reports of all runs. Sphinx would lead a reader through every
one of them; here these lead back to their chapter and on to the next, and no chapter leads into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", lead_to_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def neighbours(page: str, root: str, below: Mapping[str, Sequence[str]]) -> tuple[str | None, str | None]:
    """The pages before and after ``page``; None where there is none, as for what is in no table of contents.

    Args:
        root: the title page, the first chapter.
        below: of each page with a table of contents, what this lists, in order.
    """
    chapters = [root, *below.get(root, ())]
    owner = {part: chapter for chapter in chapters[1:] for part in below.get(chapter, ())}
    owner |= {chapter: chapter for chapter in chapters}
    if page not in owner:
        return None, None
    place, around = chapters.index(owner[page]), [None, *chapters, None]
    return around[place] if page == owner[page] else owner[page], around[place + 2]


def lead_to_chapters(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    """Put a page's `neighbours` where the theme looks for them."""

    def link(page: str | None) -> dict[str, str] | None:
        if page is None:
            return None
        title = app.builder.render_partial(app.env.titles[page])["title"]
        return {"link": app.builder.get_relative_uri(pagename, page), "title": title}

    before, after = neighbours(pagename, app.config.root_doc, app.env.toctree_includes)
    context["prev"], context["next"] = link(before), link(after)
