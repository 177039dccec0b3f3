"""Remedies as the package prints them, followed to the letter; small runs computed where the caller is."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from helpers import TINY
from typer.testing import CliRunner

from qpatch.cli import app
from qpatch.runs import compute_stage, train
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

THREE = ("train", "hessian", "landscape")


def qpatch(*arguments: str) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def three_stages(data=None) -> RunFolder:
    train(TINY, "cpu", data)
    compute_stage("hessian", TINY, "cpu", data, tolerance=0.01)
    return compute_stage("landscape", TINY, "cpu", data, n_points=3)


@contextlib.contextmanager
def computed_here() -> Iterator[None]:
    """Within the block `qpatch run` computes stages in this process, not in kernels, and does not measure before."""

    def execute(run, stage, parameters, manager, replace=False):
        own = STAGES[stage].own_values({name: value for name, value in parameters.items() if name != "device"})
        compute_stage(stage, run.config, "cpu", replace=replace, **own)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qpatch.runs.execution.execute_stage", execute)
        patch.setattr("qpatch.runs.execution.kernel", lambda run: contextlib.nullcontext())
        patch.setattr("qpatch.runs.estimate", lambda pending, *rest: {(c.run_id, s): 1.0 for c, s in pending})
        yield


def follow(problem: str, elsewhere: Path) -> None:
    """Do what a problem's remedy says; what is to be moved goes ``elsewhere``, and so does a new results folder."""
    if found := re.search(r"delete (.+) and run '", problem):
        Path(found[1]).unlink()
    if found := re.search(r"move (.+) out of the results", problem):
        shutil.move(found[1], elsewhere / f"moved-{len(os.listdir(elsewhere))}")
    elif found := re.search(r"run 'qpatch ([^']*)'", problem):
        result = qpatch(*found[1].split())
        assert result.exit_code == 0, result.output
        assert "nothing to do" not in result.output, problem
    else:
        assert "set QPATCH_RESULTS to another folder" in problem, f"no remedy: {problem}"
        (elsewhere / "mine").mkdir()
        os.environ["QPATCH_RESULTS"] = str(elsewhere / "mine")


def mend(elsewhere: Path, rounds: int = 3) -> int:
    """Follow what `qpatch check` prints until it finds nothing; how many remedies that took.

    A training that is made anew may leave later stages behind, hence the rounds.
    """
    followed = 0
    for _ in range(rounds):
        for command in ("status", "tables"):
            result = qpatch(command)
            assert result.exit_code == 0, result.output
        result = qpatch("check")
        assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
        if result.exit_code == 0:
            return followed
        for problem in result.stderr.splitlines():
            follow(problem, elsewhere)
            followed += 1
    raise AssertionError(f"left after {rounds} rounds: {qpatch('check').stderr}")
