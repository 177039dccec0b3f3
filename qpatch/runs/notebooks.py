"""The stages' notebooks, executed by Papermill into a run's folder: all of a run's in one kernel."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qpatch.files import PROJECT, in_project, writable
from qpatch.runs.parameters import DEVICE
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder

if TYPE_CHECKING:
    from jupyter_client import AsyncKernelManager

SOURCES = PROJECT / "book" / "notebooks"
CONFIG_PARAMETERS = ("stride", "depth", "seed")  # of a notebook, beside its settings
START_SECONDS = 120  # that a kernel may take on a busy machine


class NotebookError(RuntimeError):
    """A cell failed or its process died; the message names the executed notebook that shows it."""


@contextlib.contextmanager
def kernel(run: RunFolder) -> Iterator[AsyncKernelManager]:
    """A kernel for a run, of this interpreter whatever kernels are installed, in the project's folder.

    It ends with the block.
    """
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_core.utils import run_sync

    # The kernel's own warnings are not about the run.
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=50"]
    manager = AsyncKernelManager(kernel_name="python3")
    manager._kernel_spec = KernelSpec(argv=argv, display_name="Python 3", language="python")
    try:
        run_sync(manager.start_kernel)(
            cwd=str(in_project()), env=os.environ | {"QPATCH_RESULTS": str(run.path.parent.resolve())}
        )
        yield manager
    finally:
        if manager.has_kernel:
            run_sync(manager.shutdown_kernel)(now=True)


def execute_stage(
    run: RunFolder, stage: str, parameters: dict, manager: AsyncKernelManager, replace: bool = False
) -> Path:
    """Convert the stage's notebook with Jupytext, execute it with Papermill, return the executed notebook.

    Of the ``parameters`` of any stages those of this one are taken; the manager's kernel is left with an empty
    namespace; ``replace`` as in `compute.compute_stage`.

    Raises:
        NotebookError: a cell failed, or the process died.
    """
    import jupytext
    import papermill
    from nbclient.exceptions import DeadKernelError

    fields = run.config.to_dict()
    values = {name: fields.pop(name) for name in CONFIG_PARAMETERS} | {"settings": fields}
    values |= {"parameters": {name: value for name, value in parameters.items() if name in STAGES[stage].parameters}}
    values |= {"device": parameters.get("device", DEVICE), "replace": replace}
    executed = run.cache / "notebooks" / f"{stage}.ipynb"
    logging.getLogger("papermill").setLevel(logging.ERROR)
    with writable(executed), tempfile.TemporaryDirectory() as folder:
        executed.parent.mkdir(parents=True, exist_ok=True)
        plain = Path(folder) / f"{stage}.ipynb"
        jupytext.write(jupytext.read(SOURCES / f"{stage}.md"), plain)
        try:
            papermill.execute_notebook(
                str(plain), str(executed), values, kernel_name="python3", progress_bar=False, km=manager,
                start_timeout=START_SECONDS,
            )  # fmt: skip
        except papermill.PapermillExecutionError as error:
            raise NotebookError(
                f"{run.run_id}: cell {error.exec_count} of the {stage} notebook failed"
                f" ({error.ename}: {error.evalue}); see {executed}"
            ) from error
        except DeadKernelError as error:
            raise NotebookError(
                f"{run.run_id}: the process of the {stage} notebook died, perhaps for want of memory; the same command"
                f" goes on where it was; see {executed}"
            ) from error
    _empty(manager)
    return executed


def _empty(manager: AsyncKernelManager) -> None:
    """Take a notebook's names and figures out of the kernel before the next one."""
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.execute_interactive("%reset -f\nimport matplotlib.pyplot as plt; plt.close('all'); del plt", silent=True)
    finally:
        client.stop_channels()
