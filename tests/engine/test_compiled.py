"""Compiled code is the same in every process, and takes any number of images."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from helpers import REPOSITORY

from qpatch import PatchQNN, RunConfig

DERIVATIVES = """
import hashlib, torch
from qpatch.config import RunConfig
from qpatch.curvature.loss import LossCurvature
from qpatch.data import Split
from qpatch.model.qnn import PatchQNN

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(0)
images = torch.rand(40, 14, 14, generator=generator)
split = Split(images, torch.arange(40) % 10)
curvature = LossCurvature(PatchQNN(RunConfig(stride=6, depth=3)), split)
vector = torch.randn(curvature.point.shape, generator=generator)
for result in (curvature.gradient(), curvature.hessian @ vector):
    print(hashlib.sha256(result.numpy().tobytes()).hexdigest())
"""


def test_where_nothing_may_be_written_the_compiled_code_goes_to_a_temporary_folder(tmp_path):
    """Files stand where Numba would make folders, beside the source and at home: nobody can write into these."""
    package = shutil.copytree(REPOSITORY / "qpatch", tmp_path / "qpatch", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in package.rglob("*.py"):
        (folder.parent / "__pycache__").write_bytes(b"")
    (tmp_path / "home").write_bytes(b"")
    (tmp_path / "tmp").mkdir()
    places = {"HOME": tmp_path / "home", "XDG_CACHE_HOME": tmp_path / "home", "TMPDIR": tmp_path / "tmp"}
    environment = os.environ | {name: str(path) for name, path in places.items()} | {"PYTHONPATH": str(tmp_path)}
    code = "import numpy as np; from qpatch.engine import compiled; compiled.join_parts(*np.ones((2, 3)), np.ones(6))"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=tmp_path)
    (folder,) = (tmp_path / "tmp").glob("qpatch-*")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.rglob("compiled.join_parts-*.nbi"))


@pytest.mark.slow  # compiles every kernel from an empty cache, with first and second derivatives: a minute
def test_a_process_that_compiles_rounds_as_one_that_loads(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", DERIVATIVES]
    digests = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert any(tmp_path.rglob("*.nbc"))  # so that the second process had something to load
    assert digests[0].stdout == digests[1].stdout
    assert len(digests[0].stdout.split()) == 2


FORKS = """
import os, signal, sys, torch
from qpatch import PatchQNN, RunConfig

torch.set_num_threads(2)
model, images = PatchQNN(RunConfig(stride=4, depth=1, image_size=8, n_qubits=4, n_classes=4)), torch.ones(3, 8, 8)
expected = model(images)  # its threads are at work from here on
child = os.fork()
if not child:
    signal.alarm(60)  # ends a child that waits for threads that only its parent has
    os._exit(0 if torch.allclose(model(images), expected) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_wait_for_its_parents_threads():
    finished = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def test_no_images_are_images_too():
    config = RunConfig(stride=4, depth=1, n_qubits=4, n_classes=4, image_size=8)
    assert PatchQNN(config)(torch.zeros(0, 8, 8)).shape == (0, 4)
