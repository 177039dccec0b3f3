"""Captions say what is drawn, whatever is stored: conditions belong to the code of a figure."""

import re

import jupytext
import pytest

from book.site.exercises import pages
from book.site.myst import cell_figure
from qpatch.files import PROJECT

CONDITIONS = re.compile(r"this copy|\bempty\b|where there (is|are)|if there (is|are)|if any\b", re.IGNORECASE)
CAPTIONS = [
    (page.relative_to(PROJECT).as_posix(), figure["name"], figure["caption"])
    for page in pages()
    for cell in jupytext.read(page, fmt="md:myst").cells
    if "caption" in (figure := cell_figure(cell))
]


def test_captions_are_found():
    assert len(CAPTIONS) > 30


@pytest.mark.parametrize(("page", "name", "caption"), CAPTIONS, ids=[name for _, name, _ in CAPTIONS])
def test_no_caption_has_a_condition(page, name, caption):
    assert not CONDITIONS.search(caption), page
