"""`python -m qpatch` is the command `qpatch`."""

from qpatch.cli import main

main()
