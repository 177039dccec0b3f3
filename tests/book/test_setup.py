"""`make setup`: which build of torch it installs, with a pip that only notes what it is asked for."""

import importlib.util
import shutil
import subprocess
import sys

import pytest

from qpatch.files import PROJECT

CPU = "https://download.pytorch.org/whl/cpu"


@pytest.fixture
def installer():
    specification = importlib.util.spec_from_file_location("install_torch", PROJECT / ".ci" / "install_torch.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("wanted", "platform", "answers", "index"),
    [
        ("", "linux", True, CPU),
        ("", "linux", False, ""),  # behind a mirror of PyPI, say
        ("", "darwin", True, ""),  # where PyPI's build has no CUDA anyway
        ("pypi", "linux", True, ""),
        ("https://example.org/cu126", "linux", False, "https://example.org/cu126"),
    ],
)
def test_the_index_is_the_one_asked_for_or_on_linux_the_one_without_cuda(
    installer, monkeypatch, wanted, platform, answers, index
):
    monkeypatch.setattr(installer, "is_reachable", lambda address: answers)
    found, line = installer.choose_index(wanted, platform)
    assert found == index
    assert ("CUDA" in line) == (platform == "linux" and wanted != "https://example.org/cu126")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/whl", "no address"])
def test_an_index_that_does_not_answer_is_passed_over(installer, address):
    assert not installer.is_reachable(address)


@pytest.mark.parametrize(
    ("wanted", "answers", "options"),
    [
        ("", True, ["--index-url", CPU]),
        ("", False, None),
        ("pypi", True, ["--force-reinstall"]),
        ("https://example.org/x", False, ["--index-url", "https://example.org/x", "--force-reinstall"]),
    ],
)
def test_pip_is_asked_for_the_pinned_torch_alone(installer, monkeypatch, capsys, wanted, answers, options):
    asked = []

    def run(command):
        asked.append(command)
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(installer, "is_reachable", lambda address: answers)
    monkeypatch.setattr(installer.sys, "platform", "linux")
    monkeypatch.setattr(installer.subprocess, "run", run)
    status = installer.main(wanted, ["--no-compile"])
    if options is None:
        assert (asked, status) == ([], 0)
    else:
        (torch,) = (line for line in (PROJECT / "requirements.txt").read_text().splitlines() if "torch==" in line)
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", torch]
        assert (asked, status) == ([pip + options], 7)
    assert capsys.readouterr().out.startswith("torch: ")


def test_make_installs_torch_first_and_the_rest_at_once():
    command = ["make", "--dry-run", "--always-make", "setup", "TORCH_INDEX=pypi"]
    lines = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()
    steps = [line for line in lines if line.startswith(".venv/bin/")]
    assert steps[0] == '.venv/bin/python .ci/install_torch.py "pypi" --no-compile'
    assert [step.split()[:2] for step in steps[1:]] == [[".venv/bin/pip", "install"]] * 2


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ("slurm", "There is no Slurm here, no command sbatch: start this on a login node, or take ON=laptop"),
        ("cloud", "ON is cloud; it must be one of kubernetes laptop slurm"),
    ],
)
def test_an_engine_that_is_not_there_is_refused(engine, message, tmp_path):
    """With the few commands that the recipe takes, and no others."""
    for name in ("sh", "ls", "xargs", "echo"):
        (tmp_path / name).symlink_to(shutil.which(name))
    command = [shutil.which("make"), "--old-file=setup", "--old-file=cluster-setup", "cluster", f"ON={engine}"]
    made = subprocess.run(
        command, cwd=PROJECT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 2
    assert made.stderr.splitlines()[0] == message
