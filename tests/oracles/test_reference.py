"""The TorchQuantum backend, and the stand-ins by which TorchQuantum is imported. Its values: see test_golden."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sphinx.ext.autodoc.mock import MockFinder, ismockmodule

from book.oracles import reference
from book.oracles.reference import ReferenceQNN
from qpatch.config import RunConfig


def test_without_rotations_the_readout_is_x_0_and_z_1():
    """With all angles and pixels zero the state stays |0...0>, where <X> = 0 and <Z> = 1 exactly."""
    config = RunConfig(stride=2, depth=1, n_qubits=4, n_classes=7, scale=50.0)
    logits = ReferenceQNN(config)(torch.zeros(2, 14, 14))
    assert logits.tolist() == [[0.0] * 4 + [50.0] * 3] * 2


@pytest.mark.parametrize("stride", [1, 2, 5, 10])
def test_each_qnn_sees_its_own_patch(stride):
    """One image per pixel, lit by a half turn: only QNNs whose patch covers the pixel may answer otherwise than dark.

    With zero angles RX(pi) and RY(pi) take |0> to |1> up to a phase and the ring adds signs only, so a QNN whose patch
    covers the pixel reads <Z> = -1 on the pixel's qubit, and +1 on all others.
    """
    config = RunConfig(stride=stride, depth=1, n_qubits=4, n_classes=8, scale=1.0, allow_unseen=True)
    images = torch.eye(14 * 14).reshape(-1, 14, 14) * torch.pi
    z = ReferenceQNN(config)(images)[:, 4:].detach()  # (196, 4)

    expected = torch.ones(14, 14, 4)
    corners = range(0, 14 - 4 + 1, stride)
    for top in corners:
        for left in corners:
            for pixel in range(16):
                qubit = pixel % 8 // 2  # two features a qubit, eight an encoding block
                expected[top + pixel // 4, left + pixel % 4, qubit] -= 2 / config.n_patches
    # float32 cos(pi / 2) is 4e-8 off and the mean over up to 121 QNNs rounds at 1e-7
    assert torch.allclose(z, expected.reshape(-1, 4), rtol=0, atol=1e-6)


def test_double_precision_is_refused():
    model = ReferenceQNN(RunConfig(depth=1))
    with pytest.raises(TypeError, match=r"images are torch\.float64.*pass torch\.float32"):
        model(torch.zeros(1, 14, 14, dtype=torch.float64))
    with pytest.raises(TypeError, match=r"angles are torch\.float64"):
        model.double()(torch.zeros(1, 14, 14))


# -- the import without the published dependencies ----------------------------------------------------------------


@pytest.fixture
def installed_torchvision(tmp_path, monkeypatch):
    """A package that looks really installed under one of the names that are stood in for."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("REAL = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    yield
    sys.modules.pop("torchvision", None)


def is_stand_in(module) -> bool:
    return ismockmodule(module)


def no_stand_in_is_left() -> bool:
    finders = [finder for finder in sys.meta_path if isinstance(finder, MockFinder)]
    return not finders and not any(is_stand_in(module) for module in list(sys.modules.values()))


def test_importing_the_backend_leaves_no_stand_in():
    assert no_stand_in_is_left()


def test_stand_ins_exist_within_the_block_only():
    with reference.stand_ins():
        assert is_stand_in(importlib.import_module("torchpack.utils.logging"))
    assert no_stand_in_is_left()


def test_other_modules_are_not_stood_in_for_and_an_error_leaves_nothing():
    with pytest.raises(ModuleNotFoundError, match="not_installed"), reference.stand_ins():
        importlib.import_module("not_installed")
    assert no_stand_in_is_left()


def test_a_really_imported_module_is_put_back(installed_torchvision):
    real = importlib.import_module("torchvision")
    with reference.stand_ins():
        assert is_stand_in(importlib.import_module("torchvision"))
    assert sys.modules["torchvision"] is real
    assert no_stand_in_is_left()


def test_an_installed_module_imports_afterwards(installed_torchvision):
    with reference.stand_ins():
        importlib.import_module("torchvision.transforms")
    assert importlib.import_module("torchvision").REAL


def test_second_import_works_in_a_fresh_interpreter(tmp_path):
    """TorchQuantum first imported through qpatch, beside a qiskit that it could not use, then by others."""
    (tmp_path / "qiskit.py").write_text("REAL = True\n")
    script = """
import importlib, sys
import qiskit
from sphinx.ext.autodoc.mock import ismockmodule
from book.oracles import reference
import torchquantum
assert torchquantum is reference.tq
importlib.reload(reference)
assert torchquantum is reference.tq
assert sys.modules["qiskit"] is qiskit and qiskit.REAL
assert not any(ismockmodule(module) for module in list(sys.modules.values()))
"""
    repository = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(repository)])}
    run = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
