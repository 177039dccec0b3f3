"""`python -m qpatch` is the command `qpatch`."""

from qpatch.cli import app

app(prog_name="qpatch")
