"""What is left of some runs as jobs, one a stage, for an engine that hands them out to other machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import lazy_loader

from qpatch.config import RunConfig
from qpatch.files import writable
from qpatch.runs.costs import estimate
from qpatch.runs.device import choose_device
from qpatch.runs.execution import pending_stages, possible_stages
from qpatch.runs.store import RunFolder, results_folder
from qpatch.runs.sweep import worker_command

torch = lazy_loader.load("torch")

PROCESS_MIB = 2048  # of a job without the statevectors of a mini-batch: libraries, notebook, images, the engine itself
STATES = 32  # that a step keeps of an image and QNN, with room


def list_jobs(plan: Mapping[RunFolder, Sequence[str]], parameters: dict) -> dict:
    """The jobs that planned stages still need, and the folder of the results, as JSON has them.

    A job has a ``command``, which computes with this version of the code alone; about how many ``seconds`` it takes on
    this machine with the threads that PyTorch has here; ``mebibytes`` of memory; ``gpus``. It begins when the job of
    the stage before, ``after``, has ended: then a run has one writer, also where locks of files do not hold, as on some
    network file systems.

    Raises:
        ResultError: a stage is stored with other parameters; the results folder cannot be written.
    """
    pending = {}
    for run, stages in plan.items():
        run.refuse_to_replace(possible_stages(run, stages), parameters)
        pending[run] = pending_stages(run, parameters, stages)
    with writable(folder := results_folder()):
        folder.mkdir(parents=True, exist_ok=True)
    of_runs = [(run.config, stage) for run, stages in pending.items() for stage in stages]
    # The machines that will compute may have GPUs where this one has none.
    seconds = estimate(of_runs, parameters, torch.get_num_threads(), choose_device()) if of_runs else {}
    gpus = int(str(parameters.get("device")).startswith("cuda"))
    jobs = [
        {"run": run.run_id, "stage": stage, "after": before, "command": worker_command(run, parameters, [stage])}
        | {"seconds": seconds[run.run_id, stage], "mebibytes": mebibytes(run.config), "gpus": gpus}
        for run, stages in pending.items()
        for before, stage in zip([None, *stages], stages, strict=False)
    ]
    return {"results": str(folder.resolve()), "jobs": jobs}


def mebibytes(config: RunConfig) -> int:
    """Memory that every stage of a run is content with; more makes Hessian-vector products faster, up to 16 GiB."""
    amplitudes = STATES * config.n_patches * config.batch_size * 2**config.n_qubits
    return PROCESS_MIB + amplitudes * torch.complex64.itemsize // 2**20
