"""The built site as one archive to read without a network: ``python -m book.site.offline``, or `make offline`.

Every page works from a disk; unpacked, the archive is the site. A link that only a site on a host can serve, such as
the one to this archive, is marked by ``<span class="qpatch-online">`` and left out.
"""

from __future__ import annotations

import html
import os
import re
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ONLINE = re.compile(rb'<span class="qpatch-online">.*?</span>', re.DOTALL)
COPIES = {  # variables that name a file which lies beside the pages, and what it is
    "QPATCH_PDF": "the whole book as one PDF",
    "QPATCH_EPUB": "as an EPUB for e-readers",
    "QPATCH_ARCHIVE": "the site as one archive, to unpack and read without a network",
}
EARLIEST = (1980, 1, 1, 0, 0, 0)  # of all files: the same site is the same archive


def copies(up: str) -> str:
    """A line of HTML with a link to every copy of the book that the environment names; empty if it names none.

    Args:
        up: leads from the page to the site's folder, with a slash at its end.
    """
    named = {variable: os.environ[variable] for variable in COPIES if os.environ.get(variable)}
    links = [f'<a href="{html.escape(up + name)}">{COPIES[variable]}</a>' for variable, name in named.items()]
    return f'<span class="qpatch-online">To take with you: {", ".join(links)}.</span>' if links else ""


def pack(site: Path, target: Path) -> Path:
    """Write the site in folder ``site`` into the archive ``target``, in a folder of the archive's name; return that.

    Raises:
        FileNotFoundError: there is no site in the folder.
    """
    if not (site / "index.html").is_file():
        raise FileNotFoundError(f"there is no index.html in {site}; run `make book` first")
    partial = target.with_suffix(".partial")
    with ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        for path in sorted(path for path in site.rglob("*") if path.is_file() and path.name != target.name):
            content = path.read_bytes()
            if path.suffix == ".html":
                content = ONLINE.sub(b"", content)
            name = ZipInfo(f"{target.stem}/{path.relative_to(site).as_posix()}", EARLIEST)
            name.external_attr = 0o644 << 16
            archive.writestr(name, content, ZIP_DEFLATED)
    return partial.replace(target)


if __name__ == "__main__":
    print("The site is packed into", pack(*map(Path, sys.argv[1:])))
