"""What *next* and *previous* lead to."""

import pytest

from book.site.order import neighbours

CONTENTS = {"title": ["one", "two", "three"], "two": ["report a", "report b"]}


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("title", (None, "one")),
        ("one", ("title", "two")),
        ("two", ("one", "three")),
        ("report a", ("two", "three")),
        ("report b", ("two", "three")),
        ("three", ("two", None)),
        ("search", (None, None)),
    ],
)
def test_next_and_previous_are_chapters(page, expected):
    assert neighbours(page, "title", CONTENTS) == expected
