"""A clone on a system that turns line ends has the same files: records name the digests of results."""

import subprocess

from helpers import REPOSITORY


def test_a_clone_with_other_line_ends_has_the_same_bytes(tmp_path):
    """Of this tree's attributes, in a repository of one text and one result."""
    source, clone = tmp_path / "source", tmp_path / "clone"
    (source / "data").mkdir(parents=True)
    (source / ".gitattributes").write_bytes((REPOSITORY / ".gitattributes").read_bytes())
    contents = {"data/table.csv": b"a,b\n1,2\n", "chapter.md": b"one\ntwo\n", "data/dos.txt": b"one\r\ntwo\r\n"}
    for name, written in contents.items():
        (source / name).write_bytes(written)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "--quiet"], ["add", "."], [*who, "commit", "--quiet", "--message", "all"]):
        subprocess.run(["git", "-C", str(source), *arguments], check=True, capture_output=True)
    turning = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf", "clone", "--quiet", str(source), str(clone)]
    subprocess.run(turning, check=True, capture_output=True)
    assert {name: (clone / name).read_bytes() for name in contents} == contents
