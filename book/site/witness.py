"""What a notebook reads: loaded into its kernel, this writes a line for each file, folder and process.

`book.site.execution` starts kernels with it; by the lines, `book.site.kept` decides what may be shown again.
"""

from __future__ import annotations

import os
import sys

VARIABLE = "BOOK_WITNESS"  # names the project's folder and the file that the lines go to
STARTED = "started "  # begins the line of a process, whose own reading is not seen
STARTS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
WRITING = os.O_WRONLY | os.O_RDWR


def testify(root: str, target: str) -> None:
    """From now on write to ``target`` every path below ``root``, relative to it, that Python opens to read or lists.

    Each line comes once. The first is "." for ``root`` itself: the sign that the witness is there.
    """
    lines = open(target, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    seen = set()

    def note(line: str) -> None:
        if line not in seen:
            seen.add(line)
            lines.write(line + "\n")

    def hook(event: str, arguments: tuple) -> None:
        if event in STARTS:
            note(f"{STARTED}{os.path.basename(str(arguments[0])) if arguments else event}")
        elif event in ("open", "os.listdir", "os.scandir") and not isinstance(arguments[0], int):
            path = os.path.abspath(os.fsdecode(arguments[0] or "."))
            if path.startswith(root + os.sep) and not (event == "open" and arguments[2] & WRITING):
                note(path.removeprefix(root + os.sep))

    sys.addaudithook(hook)
    note(".")


if VARIABLE in os.environ:
    testify(*os.environ[VARIABLE].split(os.pathsep))
