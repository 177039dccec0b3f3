"""Builds the book: ``python -m book.site.build``, or `make book`. Each line names the step it is in and the time left.

The small runs that are missing are computed, then `jupyter-book` executes the notebooks and makes the pages; this only
starts both, and says in one voice how far they are.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from book.site.extension import NEWS
from qpatch.files import PROJECT
from qpatch.runs.costs import duration
from qpatch.runs.provenance import processors

BIN = Path(sys.executable).parent
RUNS = [BIN / "qpatch", "sweep", "--profile", "class"]
BOOK = [BIN / "jupyter-book", "build", ".", "--all", "-W", "-n", "--keep-going"]
# Seconds of one free processor that the steps after this one take, until their own news say it better.
NOTEBOOKS_SECONDS, PAGES_SECONDS = 400, 50
READING_SHARE = 0.35  # of the time that the pages take; the rest goes into writing
STEP_OF_PAGES = re.compile(r"(?P<step>reading sources|writing output)\.\.\. *\[ *(?P<percent>\d+)%\]")
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NEWS_SECONDS = 10  # at least between two lines on the pages


def news_of_runs(lines: Iterator[str]) -> Iterator[str]:
    """What the sweep says, with what comes after it wherever it says how much is left."""
    later = duration(NOTEBOOKS_SECONDS / processors() + PAGES_SECONDS)
    for line in lines:
        then = f"; then notebooks and pages, about {later}" if line.endswith(" left") else ""
        yield f"[2 of 4, small runs] {line}{then}"


def news_of_book(lines: Iterator[str]) -> Iterator[str]:
    """What the build of the site says about notebooks and pages; its warnings and errors go elsewhere."""
    began = said = time.monotonic()
    for line in lines:
        found, now = STEP_OF_PAGES.search(line), time.monotonic()
        if line.startswith(NEWS):
            then = f"; then pages, about {duration(PAGES_SECONDS)}" if line.endswith(" left") else ""
            yield f"[3 of 4, notebooks] {line.removeprefix(NEWS)}{then}"
            began = now
        elif found and now - said > NEWS_SECONDS:
            said = now
            left = (now - began) * (1 / pages_done(found["step"], int(found["percent"])) - 1)
            yield f"[4 of 4, pages] {found['step']}, about {duration(left)} left"


def pages_done(step: str, percent: int) -> float:
    """The share of the pages' time that has passed when Sphinx is so far in a step."""
    share = max(percent, 1) / 100
    return READING_SHARE * share if step == "reading sources" else READING_SHARE + (1 - READING_SHARE) * share


def follow(command: list, news) -> int:
    """Run a command, print what ``news`` makes of its lines as they come; its exit status."""
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in news(COLOURS.sub("", line.rstrip("\n")) for line in process.stdout):
            print(line, flush=True)
    return process.returncode


def main() -> int:
    """Build the book; the exit status of the step that failed, 0 if none did."""
    try:
        status = follow(RUNS, news_of_runs) or follow(BOOK, news_of_book)
    except KeyboardInterrupt:
        print("The build was stopped; the same command goes on where it was", file=sys.stderr)
        return 130
    if status == 0:
        print("The book is at", PROJECT / "_build" / "html" / "index.html")
    return status


if __name__ == "__main__":
    sys.exit(main())
