"""Kernels that start at once: each is forked from one process that has imported what most notebooks import.

Those imports are several seconds of a processor for every notebook. A forked kernel finds them done, and is otherwise
like one that was started: an environment, a folder, arguments and a process group of its own. On other systems than
Linux, whose libraries may not survive a fork, kernels are started as ever.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence

from jupyter_client.provisioning import LocalProvisioner
from nbclient import NotebookClient

IMPORTED = ("ipykernel.kernelapp", "matplotlib.pyplot", "pandas", "book.site.explorers", "book.show.tables")
INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}  # what a kernel sets; Matplotlib asks only once
POLL_SECONDS = 0.05


class Nursery:
    """The process that kernels are forked from, as a context; it and they end with it."""

    def __enter__(self) -> Nursery:
        # By its file, since a kernel, too, finds modules only where the environment says.
        script = f"import runpy; runpy.run_path({__file__!r})['serve']({IMPORTED!r})"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        environment = os.environ | INLINE
        command = [sys.executable, "-c", script]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, **pipes)
        self.lock = threading.Lock()
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def provide(self, client: NotebookClient) -> None:
        """Let the kernel of a client that has not started yet come from here."""
        manager = client.create_kernel_manager()
        kernel = {"kernel_id": str(uuid.uuid4()), "kernel_spec": manager.kernel_spec}
        manager.provisioner = ForkedKernel(parent=manager, **kernel)
        manager.provisioner.nursery = self

    def fork(self, arguments: list[str], env: dict[str, str], cwd: str) -> int:
        """Start a kernel with the arguments of `ipykernel_launcher`; its process id.

        Raises:
            RuntimeError: the nursery is not there any more, or could not import what it should.
        """
        with self.lock:
            try:
                request = {"arguments": arguments, "env": env, "cwd": str(cwd)}
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                answer = self.process.stdout.readline()
            except OSError:
                answer = ""
        if not answer:
            raise RuntimeError("the process that kernels are forked from has ended; its last words are above")
        return int(answer)


class ForkedKernel(LocalProvisioner):
    """A kernel that a nursery forks."""

    nursery: Nursery

    async def launch_kernel(self, cmd: list[str], **kwargs):
        pid = self.nursery.fork(cmd[cmd.index("-f") :], kwargs["env"], kwargs.get("cwd") or os.getcwd())
        self.process, self.pid, self.pgid, self.cwd = ForkedProcess(pid), pid, pid, kwargs.get("cwd")
        return self.connection_info


class ForkedProcess:
    """What a provisioner wants of `subprocess.Popen`, for a process whose parent is the nursery."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid = pid

    def poll(self) -> int | None:
        """None while the process lives, then 0: its status is told to its parent only."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return 0
        return None

    def wait(self) -> int:
        while self.poll() is None:
            time.sleep(POLL_SECONDS)
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def serve(imported: Sequence[str]) -> None:
    """The nursery itself: after its imports, fork a kernel for each line of the standard input, until that ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what imports print is no answer
    for name in imported:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system clears away kernels that have ended
    for line in sys.stdin:
        request, nursery = json.loads(line), os.getpid()
        pid = os.fork()
        if pid == 0:
            _become_kernel(nursery=nursery, **request)
        print(pid, file=answers, flush=True)


def _become_kernel(nursery: int, arguments: list[str], env: dict[str, str], cwd: str) -> None:
    from ipykernel.kernelapp import launch_new_instance

    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or it could not wait for processes of its own
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(env)
        os.chdir(cwd)
        sys.path[:] = [path for path in sys.path if path]  # the kernel puts its own folder there
        _renew_randomness()
        # It ends if the nursery does.
        launch_new_instance(argv=[*arguments, f"--IPKernelApp.parent_handle={nursery}"])
        status = 0
    finally:
        os._exit(status)


def _renew_randomness() -> None:
    """As in a process that was started: global generators begin somewhere else in each. Python's own does by itself."""
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def is_possible() -> bool:
    """Whether kernels can be forked here."""
    return sys.platform == "linux"
