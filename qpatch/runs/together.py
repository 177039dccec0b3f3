"""One run computed by several processes: they are started, find one another, and follow the first, which leads."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator

import lazy_loader

from qpatch import curvature, model
from qpatch.config import ConfigError, RunConfig
from qpatch.data import Dataset
from qpatch.files import ResultError
from qpatch.runs import provenance
from qpatch.runs.device import choose_device
from qpatch.runs.notebooks import NotebookError
from qpatch.runs.parameters import DEVICE
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.sweep import END_SECONDS, THREAD_VARIABLES, share_processors

torch = lazy_loader.load("torch")

LOOPBACK = "127.0.0.1"  # names of machines need not resolve
# What a leader says, as done by those who follow.
DONE_BY = {
    "loss": lambda at, _: model.evaluate(at.model, at.split),
    "gradient": lambda at, _: at.gradient(),
    "hessian": lambda at, vector: at.hessian @ vector,
    "gauss_newton": lambda at, vector: at.gauss_newton @ vector,
    "label_gradients": lambda at, _: at.label_gradients(),
}


def started() -> bool:
    """Whether `torchrun` has started this process as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def start(processes: int) -> int:
    """Run this program's command in so many processes of this machine, as `torchrun` would; the leader's exit status.

    Where one of them is lost the others are ended, and a ResultError names it.
    """
    if not torch.distributed.is_available():  # asked first: PyTorch is loaded whole before its parts are
        raise ConfigError(f"processes is {processes}, but this build of PyTorch knows no others; leave it out")
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(share_processors(processes, processes)[1]))
    os.environ["GLOO_SOCKET_IFNAME"] = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    options = {"rdzv_backend": "c10d", "rdzv_endpoint": f"{LOOPBACK}:0", "local_addr": LOOPBACK, "max_restarts": 0}
    options |= {"logs_specs": DefaultLogsSpecs(os.devnull), "shutdown_timeout": END_SECONDS}
    config = LaunchConfig(1, 1, processes, run_id="qpatch", **options)
    try:
        elastic_launch(config, sys.executable)("-m", "qpatch", *sys.argv[1:])
    except ChildFailedError as error:
        statuses = {rank: failure.exitcode for rank, failure in error.failures.items()}
        killed = [rank for rank, status in statuses.items() if status < 0]
        if not killed and 0 in statuses:
            return statuses[0]  # which has said why
        rank = min(killed or statuses)
        how = f"killed by {signal.Signals(-statuses[rank]).name}" if killed else f"ended with status {statuses[rank]}"
        raise ResultError(
            f"process {rank + 1} of {processes} was {how}, perhaps for want of memory, and the others were stopped;"
            f" nothing that is kept is lost: the same command goes on where it was, with any number of processes"
        ) from None
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


@contextlib.contextmanager
def world_of(config: RunConfig, processes: int | None, device: str) -> Iterator[model.World | None]:
    """The world that this process is started in, of ``processes`` where that is given; None where it is alone.

    Raises:
        ConfigError: a world of another size than asked for.
        LostError: one of the others does not come.
        ResultError: another one runs another version of the code.
    """
    rank, size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE")) if started() else (0, 1)
    if processes not in (None, size):
        raise ConfigError(f"processes is {processes}, but torchrun has started {size}; give both the same number")
    if size == 1:
        yield None
        return
    backend = "gloo"
    if choose_device(device).type == "cuda":
        here, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        torch.cuda.set_device(here % gpus)
        # Several processes on one GPU are none that NCCL takes.
        backend = "cpu:gloo,cuda:nccl" if int(os.environ["LOCAL_WORLD_SIZE"]) <= gpus else "gloo"
    with model.joined(rank, size, config.n_patches, backend) as world:
        check_code(world)
        yield world
        world.lead("end")


def check_code(world: model.World) -> None:
    """Refuse, in all processes, by a ResultError, a world in which one runs another version of the code."""
    other = world.shared(provenance.code_digest()) != provenance.code_digest()
    if count := int(world.total(torch.tensor(int(other)))):
        raise ResultError(
            f"{count} of {world.size} processes run another version of the code than the first; give all the same"
        )


def compute_together(world: model.World, run: RunFolder, parameters: dict, force: bool, stage: str) -> None:
    """Compute a stage in a world that this process leads; a NotebookError where it fails for want of a finite loss."""
    from qpatch.runs.compute import compute_stage  # which loads PyTorch

    own = {name: value for name, value in parameters.items() if name in STAGES[stage].parameters}
    try:
        compute_stage(stage, run.config, parameters.get("device", DEVICE), replace=force, world=world, **own)
    except ArithmeticError as error:
        raise NotebookError(f"{run.run_id}: the {stage} stage failed: {error}") from error


def follow(world: model.World, config: RunConfig, device: str) -> None:
    """Compute what the leader says, until it says that it is done.

    Raises:
        LostError: the leader or another process is gone.
    """
    from qpatch.runs.compute import Work  # which loads PyTorch

    target, known = choose_device(device), {}
    while (order := world.follow())[0] != "end":
        what, splits, values = order
        if what == "train":
            with contextlib.suppress(FloatingPointError):  # which the leader reports
                STAGES["train"].compute(Work(RunFolder(config), target, None, Dataset(*splits), world), **values)
        else:
            (split,), point, chunk = splits, values["point"], values.get("chunk")
            if (key := (id(split), point.dtype, chunk)) not in known:
                qnns = model.build_model(config).to(target, point.dtype)
                qnns.world = world
                known[key] = curvature.LossCurvature(qnns, split, chunk)
            model.move_to(known[key].model, point)
            DONE_BY[what](known[key], values.get("vector"))
