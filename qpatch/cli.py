"""The command line: `qpatch run`, `sweep`, `status` and `check`."""

from __future__ import annotations

from typing import Annotated

import typer

from qpatch import notebooks, sweep
from qpatch.check import check_results
from qpatch.config import PROFILE_PARAMETERS, PROFILES, ConfigError, RunConfig, profile_runs
from qpatch.results import STAGES, ResultError, RunFolder, results_folder, stored_runs

app = typer.Typer(
    help="Train patch-wise quantum neural networks and measure their loss landscapes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A field of RunConfig or a notebook parameter."),
]
Profile = Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")]


class _Failure(typer.Exit):
    """Ends the program with a message on stderr."""

    def __init__(self, message: object, code: int = 1):
        typer.echo(f"qpatch: {message}", err=True)
        super().__init__(code)


@app.command()
def run(
    stride: Annotated[int | None, typer.Option(help="Pixels between neighbouring patches.  [default: 6]")] = None,
    depth: Annotated[int | None, typer.Option(help="Entangling blocks a stretch.  [default: 50]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of angles and mini-batches.  [default: 1001]")] = None,
    param: Params = None,
    stage: Annotated[str, typer.Option(help=f"{', '.join(STAGES)} or all.")] = "all",
    force: Annotated[bool, typer.Option("--force", help="Compute again what is done.")] = False,
) -> None:
    """Execute one run's notebooks with Papermill: the stages that have no current result."""
    named = {"stride": stride, "depth": depth, "seed": seed}
    fields, parameters = _parse(param)
    config = _config({name: value for name, value in named.items() if value is not None} | fields)
    if stage not in (*STAGES, "all"):
        raise _Failure(f"stage is {stage!r}; it must be one of {', '.join(STAGES)} or all", 2)
    folder = RunFolder(config)
    wanted = STAGES if stage == "all" else (stage,)
    try:
        if not sweep.execute_run(folder, parameters, typer.echo, wanted, force):
            typer.echo(f"{folder.run_id}: nothing to do")
    except sweep.BusyError as error:
        raise _Failure(error, sweep.BUSY) from error
    except (ResultError, notebooks.NotebookError) as error:
        raise _Failure(error) from error


@app.command(name="sweep")
def sweep_command(
    profile: Profile = "paper",
    stride: Annotated[list[int] | None, typer.Option(help="Only these strides.")] = None,
    depth: Annotated[list[int] | None, typer.Option(help="Only these depths.")] = None,
    param: Params = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at a time.  [default: one a processor]")] = None,
) -> None:
    """Execute all runs of a profile; what is done is skipped, a failed run stops no other."""
    fields, parameters = _parse(param)
    runs = [RunFolder(_replace(config, fields)) for config in _profile(profile, stride, depth)]
    outcomes = sweep.execute_sweep(runs, PROFILE_PARAMETERS[profile] | parameters, workers, typer.echo)
    counts = {
        name: sum(outcome.result == name for outcome in outcomes) for name in ("done", "skipped", "busy", "failed")
    }
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    if counts["failed"] or counts["busy"]:
        raise typer.Exit(1)


@app.command()
def status(profile: Annotated[str | None, typer.Option(help="Only this profile's runs.")] = None) -> None:
    """Say which runs and stages are done, missing or stale."""
    runs = [RunFolder(config) for config in _profile(profile)] if profile else stored_runs()
    if not runs:
        typer.echo(f"no finished training under {results_folder()}")

    def state(folder: RunFolder, stage: str) -> str:
        return notebooks.stage_state(folder, stage, PROFILE_PARAMETERS[profile]) if profile else folder.state(stage)

    for folder in runs:
        states = "  ".join(f"{stage}: {state(folder, stage):8}" for stage in STAGES)
        typer.echo(f"{folder.run_id:45}  {states}".rstrip())


@app.command()
def check() -> None:
    """Validate all stored results: records against the schema, files against their checksums, values."""
    count, problems = check_results()
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{count} runs checked, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


def _parse(assignments: list[str] | None) -> tuple[dict, dict]:
    try:
        return notebooks.parse_parameters(assignments or [])
    except ConfigError as error:
        raise _Failure(error, 2) from error


def _config(fields: dict) -> RunConfig:
    try:
        return RunConfig.from_dict(fields)
    except ConfigError as error:
        raise _Failure(error, 2) from error


def _replace(config: RunConfig, fields: dict) -> RunConfig:
    try:
        return config.replace(**fields)
    except ConfigError as error:
        raise _Failure(error, 2) from error


def _profile(name: str, strides: list[int] | None = None, depths: list[int] | None = None) -> list[RunConfig]:
    try:
        runs = profile_runs(name)
    except ConfigError as error:
        raise _Failure(error, 2) from error
    kept = [run for run in runs if (not strides or run.stride in strides) and (not depths or run.depth in depths)]
    if not kept:
        raise _Failure(f"no run of profile {name!r} has stride {strides} and depth {depths}", 2)
    return kept
