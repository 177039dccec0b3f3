"""Every test works in a results folder of its own, on one thread."""

import shutil

import pytest
import torch
from helpers import TINY, write_idx_set

from qpatch.config import RunConfig
from qpatch.data import load_dataset
from qpatch.runs.store import RunFolder


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The matrices are tiny: a second thread gains nothing, and costs much where the cores are busy.

    Of the whole session, since fixtures of a module come before those of its tests.
    """
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread_again():
    """After a test that sets another number."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def results_folder(tmp_path, monkeypatch):
    folder = tmp_path / "results"
    monkeypatch.setenv("QPATCH_RESULTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def mnist():
    """All images, as a paper run takes them."""
    return load_dataset(RunConfig())


@pytest.fixture(scope="session")
def shapes_root(tmp_path_factory):
    """A folder for QPATCH_DATA that holds the small data set 'shapes'."""
    root = tmp_path_factory.mktemp("data")
    write_idx_set(root / "shapes")
    return root


@pytest.fixture
def shapes(shapes_root, monkeypatch):
    """The data set of `TINY`, which other processes find too."""
    monkeypatch.setenv("QPATCH_DATA", str(shapes_root))
    return load_dataset(TINY)


@pytest.fixture(scope="module")
def computed_once(tmp_path_factory, shapes_root):
    """A function that makes the results of a run on 'shapes' once a module: ``(config, compute) -> folder``."""
    made = {}

    def make(config, compute):
        if config not in made:
            with pytest.MonkeyPatch.context() as patch:
                root = tmp_path_factory.mktemp("once")
                patch.setenv("QPATCH_DATA", str(shapes_root))
                patch.setenv("QPATCH_RESULTS", str(root))
                made[config] = compute(load_dataset(config)).path
        return made[config]

    return make


@pytest.fixture
def run_of(computed_once, results_folder, shapes):
    """The same in the test's own results folder, as a copy: ``(config, compute) -> RunFolder``."""

    def copy(config, compute):
        run = RunFolder(config)
        shutil.copytree(computed_once(config, compute), run.path)
        return run

    return copy
