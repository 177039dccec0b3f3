"""Kernels that are forked: like started ones in all that a notebook sees, and gone with what they come from."""

import json
import os
import time

import psutil
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_notebook

from book.site import nursery
from book.site.nursery import Nursery, is_possible

pytestmark = pytest.mark.skipif(not is_possible(), reason="kernels are forked on Linux only")

SEEN = """import json, os, subprocess, sys
import matplotlib.pyplot as plt
print(json.dumps({
    "folder": os.getcwd(), "path": sys.path, "variable": os.environ.get("QPATCH_TEST"),
    "processes": subprocess.run(["sh", "-c", "exit 3"]).returncode, "backend": plt.get_backend(),
    "names": [name for name in dir() if not name.startswith("_")], "group": os.getpgid(0) == os.getpid(),
    "torch": "torch" in sys.modules,
}))"""
FIGURE = "fig, ax = plt.subplots()\nax.plot([1, 2]);"


@pytest.fixture(scope="module")
def forked():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nursery, "IMPORTED", ("ipykernel.kernelapp", "matplotlib.pyplot"))
        with Nursery() as one:
            yield one


def run(place, folder, *cells, **options):
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    client = NotebookClient(notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(folder)}})
    if place:
        place.provide(client)
    client.execute(env=os.environ | options)
    return [cell.outputs for cell in notebook.cells]


def test_a_forked_kernel_is_like_a_started_one(forked, tmp_path):
    (seen,), (forked_figure,) = run(forked, tmp_path, SEEN, FIGURE, QPATCH_TEST="x")
    (expected,), (figure,) = run(None, tmp_path, SEEN, FIGURE, QPATCH_TEST="x")
    seen, expected = json.loads(seen.text), json.loads(expected.text)
    assert set(seen.pop("path")) == set(expected.pop("path"))
    assert seen == expected
    assert seen["folder"] == str(tmp_path)
    assert forked_figure.data["image/png"] == figure.data["image/png"]


def test_kernels_share_nothing(forked, tmp_path):
    settings = "import os, matplotlib\nline = matplotlib.rcParams['lines.linewidth']\n"
    show = "print('x' in dir(), os.environ.get('QPATCH_TEST'), line)"
    ((before,),) = run(forked, tmp_path, settings + show)
    change = "x = 1\nos.environ['QPATCH_TEST'] = 'y'\nmatplotlib.rcParams['lines.linewidth'] = 9"
    run(forked, tmp_path, settings + change)
    ((after,),) = run(forked, tmp_path, settings + show)
    assert before.text == after.text == "False None 1.5\n"


def test_global_generators_begin_somewhere_else_in_each(forked, tmp_path):
    code = "import random, numpy\nprint(random.random(), numpy.random.random())"
    first, second = (run(forked, tmp_path, code)[0][0].text.split() for _ in range(2))
    assert not set(first) & set(second)


def test_the_death_of_a_kernel_is_noticed(forked, tmp_path):
    with pytest.raises(DeadKernelError):
        run(forked, tmp_path, "import os\nos._exit(1)")
    assert run(forked, tmp_path, "1 + 1")[0][0].data["text/plain"] == "2"


def test_a_nursery_that_cannot_import_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(nursery, "IMPORTED", ("no_such_module",))
    with Nursery() as one, pytest.raises(RuntimeError, match="has ended"):
        run(one, tmp_path, "1")


def test_kernels_end_with_their_nursery(monkeypatch, tmp_path):
    monkeypatch.setattr(nursery, "IMPORTED", ("ipykernel.kernelapp",))
    with Nursery() as one:
        pid = one.fork(["-f", str(tmp_path / "connection.json")], dict(os.environ), str(tmp_path))
        kernel = psutil.Process(pid)
        while not (tmp_path / "connection.json").exists():  # then it has begun to look for its parent
            time.sleep(0.1)
        assert kernel.is_running()
    kernel.wait(timeout=30)
