"""What answers at once loads nothing that computes: counted in modules, not in seconds."""

import json
import subprocess
import sys

import pytest
from helpers import REPOSITORY

HEAVY = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "numba", "papermill", "jupytext")
PROBE = """
import json, sys
code, arguments = sys.argv[1], sys.argv[2:]
sys.argv[1:] = arguments
try:
    exec(code)
except SystemExit:
    pass
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules if "." in name})))
"""
COMMAND = "from qpatch.cli import main; main()"


def loaded(code: str, *arguments: str) -> set[str]:
    """The packages of which a fresh interpreter holds a part after some code: a lazy name alone has none."""
    command = [sys.executable, "-c", PROBE, code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_that_computes():
    found = loaded("import qpatch; qpatch.RunConfig(); qpatch.RunFolder; qpatch.PROFILES")
    assert "qpatch" in found
    assert not found & set(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["run", "--help"],
        ["status"],
        ["run", "-p", "wrong=3"],
        ["run", "--stride", "5"],
        ["run", "-p", "k=0"],
    ],
    ids=" ".join,
)
def test_commands_that_only_ask_load_nothing_that_computes(arguments):
    found = loaded(COMMAND, *arguments)
    assert "typer" in found
    assert not found & set(HEAVY)


def test_the_probe_sees_what_is_loaded():
    assert "torch" in loaded("import qpatch; qpatch.PatchQNN")
