"""The command line: `qpatch run`, `sweep`, `replicas`, `status`, `tables` and `check`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from qpatch.config import ConfigError, RunConfig
from qpatch.runs import notebooks, sweep
from qpatch.runs.device import choose_device
from qpatch.runs.estimate import duration, estimate
from qpatch.runs.profiles import PROFILE_PARAMETERS, PROFILES, profile_runs, profile_stages
from qpatch.runs.store import STAGES, ResultError, RunFolder, results_folder
from qpatch.runs.stored import stored_runs
from qpatch.runs.variants import STANDARD, VARIANTS
from qpatch.study import replicas
from qpatch.study.result_tables import write_tables
from qpatch.study.validation import check_results

INTERRUPTED = 130  # exit status of a program that was stopped by Ctrl-C

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
    folder, wanted = RunFolder(config), STAGES if stage == "all" else (stage,)
    if not force:
        _protect(folder, parameters, wanted)
    _execute(folder, parameters, wanted, force)
    _tables()


def _protect(folder: RunFolder, parameters: dict, wanted: tuple[str, ...]) -> None:
    """Refuse to replace a finished stage by one with other parameters: hours of computing may lie in it."""
    for stage in wanted:
        if folder.state(stage) == "done" and notebooks.stage_state(folder, stage, parameters) != "done":
            stored = folder.record(stage)["parameters"]
            asked = notebooks.recorded_parameters(stage, parameters)
            names = [name for name in stored | asked if stored.get(name) != asked.get(name)]
            states = ", ".join(f"{name} {stored.get(name, 'unset')}, not {asked.get(name, 'unset')}" for name in names)
            raise _Failure(
                f"the {stage} stage of {folder.run_id} is stored with {states}; --force replaces it, or set"
                " QPATCH_RESULTS to a folder of your own"
            )


def _tables() -> list[Path]:
    try:
        return write_tables()
    except ResultError as error:
        raise _Failure(error) from error


def _execute(
    folder: RunFolder, parameters: dict, wanted: tuple[str, ...], force: bool = False, label: str = ""
) -> None:
    name = f"{folder.run_id}{label}"
    _announce([folder], parameters, lambda config: wanted, workers=1)

    def report(stage: str, seconds: float) -> None:
        typer.echo(f"{name}: {stage} done in {seconds:.0f} s")

    try:
        if not sweep.execute_run(folder, parameters, report, wanted, force):
            typer.echo(f"{name}: nothing to do")
    except sweep.BusyError as error:
        raise _Failure(error, sweep.BUSY) from error
    except (ResultError, notebooks.NotebookError) as error:
        raise _Failure(error) from error
    except KeyboardInterrupt:
        raise _Failure(f"{name} was stopped; the same command goes on where it was", INTERRUPTED) from None


@app.command(name="sweep")
def sweep_command(
    profile: Profile = "paper",
    stride: Annotated[list[int] | None, typer.Option(help="Only these strides.")] = None,
    depth: Annotated[list[int] | None, typer.Option(help="Only these depths.")] = None,
    param: Params = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at a time.  [default: one a processor]")] = None,
) -> None:
    """Execute all runs of a profile; what is done is skipped, a failed run stops no other.

    First it says how long that will take, as measured on this machine; last it builds the result tables anew.
    """
    fields, parameters = _parse(param)
    # A field that the profile varies may be given, too: then several of its runs are one.
    configs = dict.fromkeys(_replace(config, fields) for config in _profile(profile, stride, depth))
    runs = [RunFolder(config) for config in configs]
    parameters, wanted = PROFILE_PARAMETERS[profile] | parameters, partial(profile_stages, profile)
    progress = _announce(runs, parameters, wanted, workers)
    outcomes = sweep.execute_sweep(runs, parameters, workers, typer.echo, wanted, progress)
    counts = {
        name: sum(outcome.result == name for outcome in outcomes) for name in ("done", "skipped", "busy", "failed")
    }
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    _tables()
    if counts["failed"] or counts["busy"]:
        raise typer.Exit(1)


def _announce(
    runs: list[RunFolder], parameters: dict, wanted: sweep.Wanted, workers: int | None
) -> sweep.Progress | None:
    """Say what is to do and how long it will take, from some seconds of measuring; None where nothing is to do."""
    pending = sweep.pending_stages(runs, parameters, wanted)
    if not pending:
        return None
    workers, threads = sweep.share_processors(len(runs), workers)
    total = sum(len(wanted(run.config)) for run in runs)
    typer.echo(f"{len(pending)} of {total} stages to do; measuring this machine ...")
    try:
        device = choose_device(parameters.get("device", "auto"))
    except ValueError as error:
        raise _Failure(error, 2) from error
    seconds = estimate(pending, parameters, threads, device)
    progress = sweep.Progress(seconds, workers)
    at_once = f"{workers} run{'s' if workers > 1 else ''} at a time"
    typer.echo(f"about {duration(progress.remaining())}, {at_once}; it can be stopped and goes on where it was")
    return progress


@app.command(name="replicas")
def replicas_command(
    stride: Annotated[int, typer.Option(help="Pixels between neighbouring patches.")] = 6,
    depth: Annotated[int, typer.Option(help="Entangling blocks a stretch.")] = 50,
    variant: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(name for name in VARIANTS if name != STANDARD)}.")
    ] = None,
    param: Params = None,
) -> None:
    """Train one configuration again and again, rounded in other ways: training, largest eigenvalue, principal plane."""
    fields, parameters = _parse(param)
    config = _config({"stride": stride, "depth": depth} | fields)
    known = [name for name in VARIANTS if name != STANDARD]
    if unknown := sorted(set(variant or []) - set(known)):
        raise _Failure(f"variant is {unknown[0]!r}; it must be one of {', '.join(known)}", 2)
    for name in variant or known:
        root = replicas.replicas_folder(name)
        with sweep.environment({"QPATCH_RESULTS": str(root)}):
            chosen = replicas.PARAMETERS | parameters | {"variant": name}
            _execute(RunFolder(config, root), chosen, replicas.STAGES, label=f", {name}")
    _tables()


@app.command()
def tables() -> None:
    """Build the machine-readable tables beside the results anew: agreement, ensemble, images, seeds, verdicts."""
    for file in _tables():
        typer.echo(file)


@app.command()
def status(profile: Annotated[str | None, typer.Option(help="Only this profile's runs.")] = None) -> None:
    """Say which runs and stages are done, missing or stale."""
    runs = [RunFolder(config) for config in _profile(profile)] if profile else stored_runs()
    if not runs:
        typer.echo(f"no finished training under {results_folder()}")

    def state(folder: RunFolder, stage: str) -> str:
        return notebooks.stage_state(folder, stage, PROFILE_PARAMETERS[profile]) if profile else folder.state(stage)

    for folder in runs:
        wanted = profile_stages(profile, folder.config) if profile else STAGES
        states = "  ".join(f"{stage}: {state(folder, stage):8}" for stage in wanted)
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
        given = {"stride": strides, "depth": depths}
        there = {field: sorted({getattr(run, field) for run in runs}) for field in given}
        asked = " and ".join(f"{field} {' or '.join(map(str, values))}" for field, values in given.items() if values)
        known = "; ".join(f"{field}s {', '.join(map(str, values))}" for field, values in there.items())
        raise _Failure(f"profile {name!r} has no run of {asked}; it has {known}", 2)
    return kept
