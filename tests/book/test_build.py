"""What `make book` says while it builds: the step of each line and the time left; how it ends."""

import itertools
import sys

import pytest

from book.site import build
from book.site.build import news_of_book, news_of_runs, pages_done


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that a minute passes on at each look."""
    minutes = itertools.count(step=60)
    monkeypatch.setattr(build.time, "monotonic", lambda: next(minutes))


def test_runs_are_followed_by_what_comes_after_them(monkeypatch):
    monkeypatch.setattr(build, "processors", lambda: 2)
    monkeypatch.setattr(build, "NOTEBOOKS_SECONDS", 480)
    monkeypatch.setattr(build, "PAGES_SECONDS", 60)
    lines = iter(["1 of 9 stages, about 12 min left", "12 skipped"])
    assert list(news_of_runs(lines)) == [
        "[2 of 4, small runs] 1 of 9 stages, about 12 min left; then notebooks and pages, about 5 min",
        "[2 of 4, small runs] 12 skipped",
    ]


def test_only_news_of_the_book_is_said(monkeypatch):
    monkeypatch.setattr(build, "PAGES_SECONDS", 60)
    lines = [
        "Running Jupyter-Book v1.0",
        "[qpatch] x done; 1 of 2 notebooks, about 9 s left",
        "[qpatch] y done; 2 of 2",
    ]
    lines += ["reading sources... [ 50%] book/x", "copying images... [ 10%] a.png", "build succeeded."]
    assert list(news_of_book(iter(lines))) == [
        "[3 of 4, notebooks] x done; 1 of 2 notebooks, about 9 s left; then pages, about 60 s",
        "[3 of 4, notebooks] y done; 2 of 2",
        "[4 of 4, pages] reading sources, about 5 min left",  # one minute for half of the share of reading, 0.175
    ]


def test_the_share_of_pages_that_are_done_rises_from_zero_to_one():
    shares = [pages_done(step, percent) for step in ("reading sources", "writing output") for percent in range(1, 101)]
    assert shares == sorted(set(shares))
    assert shares[0] > 0
    assert shares[-1] == 1


def test_a_failing_step_ends_the_build_with_its_status(monkeypatch, capsys):
    command = [sys.executable, "-c", "import sys; print('\x1b[31mred\x1b[0m'); sys.exit(3)"]
    monkeypatch.setattr(build, "RUNS", command)
    monkeypatch.setattr(build, "BOOK", [sys.executable, "-c", "print('not reached')"])
    assert build.main() == 3
    assert capsys.readouterr().out == "[2 of 4, small runs] red\n"


def test_the_end_says_where_the_book_is(monkeypatch, capsys):
    for name in ("RUNS", "BOOK"):
        monkeypatch.setattr(build, name, [sys.executable, "-c", ""])
    assert build.main() == 0
    assert capsys.readouterr().out.startswith("The book is at ")
