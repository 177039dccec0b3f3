"""The command line: `qpatch run`, `sweep`, `replicas`, `status`, `tables` and `check`.

What a command computes with is loaded when it computes: help, states and refusals come at once.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from qpatch import runs, study
from qpatch.config import ConfigError, RunConfig
from qpatch.data import load_dataset
from qpatch.files import ResultError
from qpatch.idx import DataError
from qpatch.runs.execution import BusyError, execute_run, pending_stages
from qpatch.runs.notebooks import NotebookError
from qpatch.runs.parameters import DEVICE, parse_parameters
from qpatch.runs.profiles import PROFILE_PARAMETERS, PROFILES, profile_runs, profile_stages
from qpatch.runs.provenance import refuse_other_code
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder, results_folder
from qpatch.runs.sweep import BUSY, execute_sweep, share_processors
from qpatch.runs.together import compute_together, follow, start, started, world_of
from qpatch.runs.variants import REPLICAS, STANDARD, VARIANTS

NO_RUNS = ("tables", "workflow", "logs", REPLICAS)  # among the results
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
OF_DATA = ("dataset", "image_size", "n_classes", "n_train", "n_test", "batch_size")  # what images have to do for


class _Commands(typer.core.TyperGroup):
    """A command that cannot do what it is asked says why on stderr, and ends with a status that tells the kind."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigError, DataError, ResultError, NotebookError) as error:
            _say(str(error))
            status = 2 if isinstance(error, ConfigError | DataError) else BUSY if isinstance(error, BusyError) else 1
            raise typer.Exit(status) from error
        except OSError as error:  # such as a full disk
            _say(f"{error}; see to that, and the same command goes on where it was")
            raise typer.Exit(1) from error


def _say(why: str) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes the first one speaks
        typer.echo(f"qpatch: {why}", err=True)


app = typer.Typer(
    cls=_Commands,
    help="Train patch-wise quantum neural networks and measure their loss landscapes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="A field of RunConfig or a parameter of a stage."),
]
Profile = Annotated[str, typer.Option(help=f"One of {', '.join(PROFILES)}.")]


class Stopped(BaseException):
    """A signal asks the program to end; all that it has started ends on the way out."""


def main() -> None:
    """The program: what a signal stops ends with one line and the usual status, and goes on another time."""

    def stop(number: int, frame: object) -> None:
        for each in STOPS:  # one is enough, and ending what runs takes seconds
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for number in STOPS:
        signal.signal(number, stop)
    try:
        app(prog_name="qpatch")
    except Stopped as stopped:
        if "--worker" not in sys.argv:
            _say("stopped; the same command goes on where it was")
        sys.exit(128 + stopped.args[0])
    finally:
        for number in STOPS:  # what ends need not be stopped
            signal.signal(number, signal.SIG_IGN)


@app.command()
def run(
    stride: Annotated[int | None, typer.Option(help="Pixels between neighbouring patches.  [default: 6]")] = None,
    depth: Annotated[int | None, typer.Option(help="Entangling blocks a stretch.  [default: 50]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of angles and mini-batches.  [default: 1001]")] = None,
    param: Params = None,
    stage: Annotated[list[str] | None, typer.Option(help=f"{', '.join(STAGES)}.  [default: all]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute again what is done.")] = False,
    processes: Annotated[int | None, typer.Option(min=1, help="Share the QNNs out among so many processes.")] = None,
    worker: Annotated[str, typer.Option(hidden=True)] = "",  # of this version of the code: stages as lines of JSON
) -> None:
    """Execute one run's notebooks with Papermill: the stages that have no current result."""
    named = {"stride": stride, "depth": depth, "seed": seed}
    given = [f"{name}={value}" for name, value in named.items() if value is not None]
    fields, parameters = parse_parameters([*given, *(param or [])])
    folder, wanted = RunFolder(RunConfig(**fields)), _stages(stage)
    if worker:
        refuse_other_code(worker)

        def tell(name: str, seconds: float) -> None:
            print(json.dumps({"stage": name, "seconds": seconds}), flush=True)

        execute_run(folder, parameters, tell, wanted, force)
        return
    if (processes or 1) > 1 and not started():
        raise typer.Exit(start(processes))
    device = parameters.get("device", DEVICE)
    with world_of(folder.config, processes, device) as world:
        if world is None or world.leads:
            compute = None if world is None else partial(compute_together, world, folder, parameters, force)
            _execute_aloud(folder, parameters, wanted, force, compute=compute)
            _tables()
        else:
            follow(world, folder.config, device)


def _stages(names: list[str] | None) -> tuple[str, ...]:
    unknown = [name for name in names or [] if name not in (*STAGES, "all")]
    if unknown:
        raise ConfigError(f"stage is {unknown[0]!r}; it must be one of {', '.join(STAGES)} or all")
    return tuple(STAGES) if not names or "all" in names else tuple(name for name in STAGES if name in names)


def _tables() -> None:
    """Build the tables anew; a run that cannot be read is reported and takes nothing from what was computed."""
    try:
        study.write_tables()
    except ResultError as error:
        typer.echo(f"qpatch: the tables beside the results are as they were: {error}", err=True)


def _execute_aloud(
    folder: RunFolder, parameters: dict, wanted: Sequence[str], force: bool, label: str = "", compute=None
) -> None:
    def report(stage: str, seconds: float) -> None:
        typer.echo(f"{folder.run_id}{label}: {stage} done in {seconds:.0f} s")

    if not force:
        folder.refuse_to_replace(wanted, parameters)
    _announce({folder: wanted}, parameters, workers=1)
    if not execute_run(folder, parameters, report, wanted, force, compute):
        typer.echo(f"{folder.run_id}{label}: nothing to do")


@app.command(name="sweep")
def sweep_command(
    profile: Profile = "paper",
    stride: Annotated[list[int] | None, typer.Option(help="Only these strides.")] = None,
    depth: Annotated[list[int] | None, typer.Option(help="Only these depths.")] = None,
    param: Params = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at a time.  [default: one a processor]")] = None,
    jobs: Annotated[bool, typer.Option("--jobs", help="Only list what is left, as JSON: a job a stage.")] = False,
) -> None:
    """Execute all runs of a profile; what is done is skipped, a failed run stops no other.

    First it says how long that will take, as measured on this machine; last it builds the result tables anew.
    """
    fields, parameters = parse_parameters(param or [])
    # A field that the profile varies may be given, too: then several of its runs are one.
    configs = dict.fromkeys(config.replace(**fields) for config in _profile(profile, stride, depth))
    plan = {RunFolder(config): profile_stages(profile, config) for config in configs}
    parameters = PROFILE_PARAMETERS[profile] | parameters
    if jobs:
        _check(plan, parameters)
        typer.echo(json.dumps(runs.list_jobs(plan, parameters)))
        return
    remaining = _announce(plan, parameters, workers)
    results = [outcome.result for outcome in execute_sweep(plan, parameters, workers, typer.echo, remaining)]
    counts = {name: results.count(name) for name in ("done", "skipped", "busy", "failed")}
    typer.echo(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    _tables()
    if counts["failed"] or counts["busy"]:
        raise typer.Exit(1)


def _announce(plan: Mapping[RunFolder, Sequence[str]], parameters: dict, workers: int | None):
    """Say what is to do and how long it will take, from some seconds of measuring; None where nothing is to do."""
    _check(plan, parameters)
    pending = [(run.config, stage) for run, stages in plan.items() for stage in pending_stages(run, parameters, stages)]
    if not pending:
        return None
    for config in {tuple(getattr(config, name) for name in OF_DATA): config for config, _ in pending}.values():
        load_dataset(config)  # refuses images that do not do
    typer.echo(f"{len(pending)} of {sum(map(len, plan.values()))} stages to do; measuring this machine ...")
    device = runs.choose_device(parameters.get("device", DEVICE))
    workers, threads = share_processors(len(plan), workers)
    remaining = runs.Remaining(runs.estimate(pending, parameters, threads, device), workers)
    at_once = f"{workers} run{'s' if workers > 1 else ''} at a time"
    typer.echo(f"about {runs.duration(remaining.seconds())}, {at_once}; it can be stopped and goes on where it was")
    return remaining


def _check(plan: Mapping[RunFolder, Sequence[str]], parameters: dict) -> None:
    """Refuse what no stage can be computed from, before anything starts."""
    for run, stages in plan.items():
        for stage in stages:
            STAGES[stage].check(run.config, parameters)


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
    fields, parameters = parse_parameters(param or [])
    config = RunConfig(**({"stride": stride, "depth": depth} | fields))
    known = [name for name in VARIANTS if name != STANDARD]
    if unknown := sorted(set(variant or []) - set(known)):
        raise ConfigError(f"variant is {unknown[0]!r}; it must be one of {', '.join(known)}")
    for name in variant or known:
        run = RunFolder(config, study.replicas.replicas_folder(name))
        chosen = study.replicas.PARAMETERS | parameters | {"variant": name}
        _execute_aloud(run, chosen, study.replicas.STAGES, False, f", {name}")
    _tables()


@app.command()
def tables() -> None:
    """Build the machine-readable tables beside the results anew: agreement, ensemble, images, seeds, verdicts."""
    _to_read()
    for file in study.write_tables():
        typer.echo(file)


@app.command()
def status(profile: Annotated[str | None, typer.Option(help="Only this profile's runs.")] = None) -> None:
    """Say which runs and stages are done, missing or stale, and why, and which folders are none of a run."""
    folders = [RunFolder(config) for config in _profile(profile)] if profile else runs.all_runs(_to_read())
    parameters = PROFILE_PARAMETERS[profile] if profile else None
    if not folders:
        typer.echo(f"no run under {results_folder()}")
    for folder in folders:
        stages = profile_stages(profile, folder.config) if profile else STAGES
        states = {stage: folder.state(stage, parameters) for stage in stages}
        line = "  ".join(f"{stage}: {state:8}" for stage, state in states.items())
        typer.echo(f"{folder.run_id:45}  {line}".rstrip())
        for stage in (stage for stage, state in states.items() if state == "stale"):
            typer.echo(f"  {stage} is stale: {folder.reason(stage, parameters)}")
        for stage in (stage for stage, state in states.items() if state == "missing"):
            if folder.record_file(stage).exists():
                typer.echo(f"  {stage} has a record that cannot be read: {folder.record_file(stage)}")
    known = {folder.path for folder in folders} | {results_folder() / name for name in NO_RUNS}
    for path in () if profile else sorted(set(results_folder().iterdir()) - known):
        if path.is_dir():
            typer.echo(f"{path.name:45}  no run: none of its records is of a run of this name")


@app.command()
def check() -> None:
    """Validate all stored results: records against the schema, files against their checksums, values."""
    count, problems = study.check_results(_to_read())
    for problem in problems:
        typer.echo(problem, err=True)
    typer.echo(f"{count} runs checked, {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


def _to_read() -> Path:
    """The results folder, which must be there to be read."""
    if not results_folder().is_dir():
        raise ResultError(f"there is no folder {results_folder()}; set QPATCH_RESULTS to the one that is meant")
    return results_folder()


def _profile(name: str, strides: list[int] | None = None, depths: list[int] | None = None) -> list[RunConfig]:
    configs = profile_runs(name)
    kept = [run for run in configs if (not strides or run.stride in strides) and (not depths or run.depth in depths)]
    if not kept:
        given = {"stride": strides, "depth": depths}
        there = {field: sorted({getattr(run, field) for run in configs}) for field in given}
        asked = " and ".join(f"{field} {' or '.join(map(str, values))}" for field, values in given.items() if values)
        known = "; ".join(f"{field}s {', '.join(map(str, values))}" for field, values in there.items())
        raise ConfigError(f"profile {name!r} has no run of {asked}; it has {known}")
    return kept
