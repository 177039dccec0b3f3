"""Damage to what an unfinished run keeps and to what a finished one stores: none is believed, all is mended."""

import contextlib
import errno
import functools
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import torch
from helpers import REPOSITORY, TINY, flip_byte, held_by_another_process
from remedies import THREE, computed_here, mend, qpatch, three_stages
from safetensors import safe_open
from safetensors.torch import save_file

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.products import KeptProducts
from qpatch.data import data_folder
from qpatch.files import ResultError, locked, sha256
from qpatch.model import flat
from qpatch.runs import compute_stage, train
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder, results_folder

BARE = TINY.replace(seed=11)  # trained, and nothing else


def rewrite(file, change):
    """The same file, its metadata included, of other tensors."""
    with safe_open(file, "pt") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(tensors)
    save_file(tensors, file, metadata)


def without_moments(tensors):
    for name in [name for name in tensors if name.startswith("trainer.adam")]:
        del tensors[name]


def changed(name, change):
    return lambda tensors: tensors.update({name: change(tensors[name])})


CHECKPOINTS = {
    "no moments": without_moments,
    "an epoch that cannot be": changed("trainer.epoch", lambda epoch: epoch + 1000),
    "a negative epoch": changed("trainer.epoch", lambda epoch: epoch - 1000),
    "shifted angles": changed("trainer.model.angles", lambda angles: angles + 0.1),
    "half precision": changed("trainer.model.angles", torch.Tensor.half),
    "a lower loss": changed("history", lambda rows: rows / 2),
    "another shape": changed("trajectory.angles", lambda path: path[:, 1:].clone()),
}


def outcome(run, stage):
    """All that a stage stores but the seconds that it took."""
    tables = {name: run.table(name) for name in STAGES[stage].leaves if name.endswith(".csv")}
    return {name: table.drop(columns="seconds", errors="ignore").to_csv() for name, table in tables.items()}


@pytest.fixture
def whole(run_of):
    """A finished training, of which nothing is kept."""
    return run_of(BARE, lambda data: train(BARE, "cpu", data))


def aside(run):
    return [path.name for path in run.cache.iterdir() if ".aside-" in path.name]


@pytest.mark.parametrize("damage", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_again(whole, shapes, capsys, damage):
    expected = outcome(whole, "train")
    (whole.path / "train.json").unlink()
    train(BARE, "cpu", shapes, max_steps=2 * BARE.n_batches)
    rewrite(whole.cache / "progress-train" / "checkpoint.safetensors", damage)
    run = train(BARE, "cpu", shapes)
    assert outcome(run, "train") == expected
    assert aside(run) == ["progress-train-checkpoint.safetensors.aside-1"]
    assert f"it is now {run.cache / aside(run)[0]}, and made anew" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["a flipped byte", "empty", "a folder", "half", "of another training"])
def test_what_is_no_checkpoint_of_this_training_is_set_aside(whole, shapes, how):
    expected = outcome(whole, "train")
    (whole.path / "train.json").unlink()
    train(BARE, "cpu", shapes, max_steps=2 * BARE.n_batches)
    other = train(BARE.replace(seed=5), "cpu", shapes, max_steps=BARE.n_batches)
    file, theirs = (run.cache / "progress-train" / "checkpoint.safetensors" for run in (whole, other))
    contents = file.read_bytes()
    if how == "a flipped byte":
        flip_byte(file, len(contents) // 2)
    elif how == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "half": contents[: len(contents) // 2]}.get(how, theirs.read_bytes()))
    assert outcome(train(BARE, "cpu", shapes), "train") == expected
    assert len(aside(whole)) == 1


@contextlib.contextmanager
def killed(place, name, after):
    """Within the context, the call after so many is a Ctrl-C."""
    function, calls = getattr(place, name), []

    def interrupted(*given):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return function(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, name, interrupted)
        yield


def test_rows_of_ones_are_not_believed(whole, shapes):
    expected = outcome(compute_stage("landscape", BARE, "cpu", shapes, n_points=4), "landscape")
    (whole.path / "landscape.json").unlink()
    with killed(flat, "evaluate", 9), pytest.raises(KeyboardInterrupt):
        compute_stage("landscape", BARE, "cpu", shapes, n_points=4)
    rewrite(whole.cache / "progress-landscape" / "rows.safetensors", changed("rows", torch.ones_like))
    assert outcome(compute_stage("landscape", BARE, "cpu", shapes, n_points=4), "landscape") == expected
    assert aside(whole) == ["progress-landscape-rows.safetensors.aside-1"]


@pytest.mark.parametrize("damage", ["times three", "exchanged"])
def test_a_kept_product_that_was_changed_is_not_believed(whole, shapes, monkeypatch, damage):
    monkeypatch.setattr("qpatch.curvature.KeptProducts", functools.partial(KeptProducts, least_seconds=0))
    expected = outcome(compute_stage("hessian", BARE, "cpu", shapes, tolerance=1e-7), "hessian")
    (whole.path / "hessian.json").unlink()
    with killed(LossCurvature, "_hessian_product", 2), pytest.raises(KeyboardInterrupt):
        compute_stage("hessian", BARE, "cpu", shapes, tolerance=1e-7)
    first, second, *_ = sorted(whole.cache.glob("progress-hessian/**/*.safetensors"))
    if damage == "exchanged":
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
    else:
        rewrite(first, changed("image", lambda image: 3 * image))
    assert outcome(compute_stage("hessian", BARE, "cpu", shapes, tolerance=1e-7), "hessian") == expected
    assert len(aside(whole)) == (2 if damage == "exchanged" else 1)


# -- records ------------------------------------------------------------------------------------------------------


def record_with(**changes):
    return lambda record: record | changes


def reworded(file, change):
    file.write_text(json.dumps(change(json.loads(file.read_text()))))


def altered(stage, change):
    """Another record, whatever it says of its stage."""
    return lambda run: reworded(run.path / f"{stage}.json", change)


def forged(name, text):
    """Another table, with its digest in the record."""

    def damage(run):
        run.file(name).write_text(text(run.file(name).read_text()))
        stage = next(stage for stage in STAGES if name in STAGES[stage].leaves)
        digest = {name: sha256(run.file(name))}
        altered(stage, lambda record: record | {"outputs": record["outputs"] | digest})(run)

    return damage


def folder_in_place_of(name):
    def damage(run):
        (run.path / name).unlink()
        (run.path / name).mkdir()

    return damage


def text_in(name, contents):
    return lambda run: run.file(name).write_bytes(contents)


def copied(run, name):
    shutil.copytree(run.path, run.path.with_name(name))


LEAVES = [name for stage in ("train", "hessian", "landscape") for name in STAGES[stage].leaves]
DAMAGES = {
    **{f"a flipped byte in {name}": lambda run, name=name: flip_byte(run.file(name)) for name in LEAVES},
    **{f"no {name}": lambda run, name=name: (run.path / name).unlink() for name in ("history.csv", "best.safetensors")},
    **{f"{name} a folder": folder_in_place_of(name) for name in ("train.json", "history.csv", "landscape.json")},
    "half a record": lambda run: os.truncate(run.path / "hessian.json", 100),
    "half the record of the training": lambda run: os.truncate(run.path / "train.json", 100),
    "nested without end": text_in("landscape.json", b"[" * 100_000),
    "a list": text_in("hessian.json", b"[1, 2]"),
    "nested deep": altered("hessian", lambda record: record | {"config": json.loads('{"a":' * 400 + "1" + "}" * 400)}),
    "no machine": altered("train", lambda record: {key: value for key, value in record.items() if key != "machine"}),
    "outputs a list": altered("train", record_with(outputs=[1])),
    "parameters a list": altered("landscape", record_with(parameters=[1])),
    "another configuration": altered("landscape", record_with(config={})),
    "a wrong eigenvalue": altered("hessian", record_with(lambda_max=-1.0)),
    "a wrong best epoch": altered("train", record_with(best_epoch=-1)),
    "no columns": forged("history.csv", lambda text: text.replace("train_loss", "trainloss")),
    "text for numbers": forged("landscape.csv", lambda text: text.replace("\n0.", "\nabout 0.").replace("\n-", "\nn")),
    "no table": forged("eigenvalue.csv", lambda text: ""),
    "not finite": forged("eigenvalue.csv", lambda text: text + "nan,nan\n"),
    "a copy": lambda run: copied(run, "backup"),
    "all records unreadable": lambda run: [os.truncate(run.path / f"{stage}.json", 9) for stage in THREE],
    "tables of nonsense": lambda run: (run.path.parent / "tables" / "stages.csv").write_bytes(b'"\xff'),
    "a newer schema": altered("hessian", record_with(schema=99, invented=True)),
}


@pytest.fixture
def in_this_process(monkeypatch):
    monkeypatch.setenv("QPATCH_RESULTS", os.environ["QPATCH_RESULTS"])  # put back, should a remedy change it
    with computed_here():
        yield


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_every_remedy_that_is_printed_works(run_of, damage, in_this_process, tmp_path):
    """None is refused, does nothing or leaves a problem; nothing is a traceback; other runs are not held up."""
    run = run_of(TINY, three_stages)
    (run.path.parent / "tables").mkdir()
    damage(run)
    (tmp_path / "elsewhere").mkdir()
    assert qpatch("check").exit_code == 1
    mend(tmp_path / "elsewhere")
    assert qpatch("check").exit_code == 0


# -- what cannot be written, and by whom --------------------------------------------------------------------------

FOLLOW = "import sys; from qpatch.cli import main; sys.argv = ['qpatch', *{arguments}]; main()"


def as_another(script):
    """Run a script as a user to whom permissions apply: the superuser gives up being above them."""
    command = [sys.executable, "-c", script]
    if not os.geteuid():
        lowered = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]
        if not shutil.which("setpriv") or subprocess.run([*lowered, "true"], check=False).returncode:
            pytest.skip("setpriv is not installed, or may not lower what this user may do")
        command = [*lowered, *command]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False)


def test_a_run_with_nothing_to_do_succeeds_where_nothing_may_be_written(run_of):
    run = run_of(TINY, three_stages)
    for folder in (run.path.parent, run.path, run.cache):
        folder.chmod(0o555)
    stages = [word for stage in THREE for word in ("--stage", stage)]
    arguments = ["run", *TINY.command_options.split(), "-p", "tolerance=0.01", "-p", "n_points=3", *stages]
    done = as_another(FOLLOW.format(arguments=arguments))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{TINY.run_id}: nothing to do\n", "")
    run.path.chmod(0o755)
    (run.path / "hessian.json").unlink()
    refused = as_another(FOLLOW.format(arguments=["run", *TINY.command_options.split(), "--stage", "hessian"]))
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"qpatch: cannot write to {run.cache / 'run.lock'} (Permission denied); make that")
    assert "Traceback" not in refused.stderr


def test_locks_are_for_all_who_may_write_the_folder(results_folder):
    """As in a group's folder: the first user's locks stay behind."""
    if os.geteuid():
        pytest.skip("only the superuser can make files that are another's")
    run = RunFolder(TINY)
    with run.locked(), locked(results_folder / "tables.lock"):
        pass
    for path in (results_folder, *results_folder.rglob("*")):
        os.chown(path, 65534, 65534)
        if path.is_dir():
            path.chmod(0o777)
    script = f"""
from qpatch.config import RunConfig
from qpatch.files import locked
from qpatch.runs.store import RunFolder, results_folder
with RunFolder(RunConfig.from_dict({TINY.to_dict()})).locked(), locked(results_folder() / "tables.lock"):
    print("held")
"""
    second = as_another(script)
    assert (second.stdout, second.stderr) == ("held\n", "")


def test_the_next_writer_clears_what_a_killed_one_left(run_of, shapes):
    run = run_of(TINY, three_stages)
    parts = [run.path / ".hessian.json.0123.part", run.cache / "progress-train" / ".checkpoint.safetensors.4567.part"]
    for part in parts:
        part.parent.mkdir(exist_ok=True)
        part.write_bytes(b"half")
    with held_by_another_process(TINY, "stage.lock"), pytest.raises(ResultError, match="by another process"):
        compute_stage("hessian", TINY, "cpu", shapes, tolerance=0.1, replace=True)
    assert all(part.exists() for part in parts)  # it may be that one's
    compute_stage("hessian", TINY, "cpu", shapes, tolerance=0.1, replace=True)
    assert not any(part.exists() for part in parts)


def test_a_full_disk_is_one_line(run_of, in_this_process, monkeypatch):
    """No small disk can be had in a test: the system's answer is made up."""
    run = run_of(TINY, three_stages)
    (run.path / "hessian.json").unlink()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    result = qpatch("run", *TINY.command_options.split(), "--stage", "hessian")
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert re.match(r"qpatch: cannot write to .*\(No space left on device\); make that possible, or set", result.stderr)


def test_a_newer_version_s_record_is_not_replaced_unless_told(run_of, shapes):
    run = run_of(TINY, three_stages)
    altered("hessian", record_with(schema=99, invented=True))(run)
    before = (run.path / "hessian.json").read_bytes()
    message = rf"{run.path / 'hessian.json'} is a record of schema 99, not 1; update qpatch, or set QPATCH_RESULTS"
    with pytest.raises(ResultError, match=message):
        compute_stage("hessian", TINY, "cpu", shapes)
    refused = qpatch("run", *TINY.command_options.split(), "--stage", "hessian")
    assert refused.exit_code == 1
    assert re.search(message, refused.stderr)
    assert (run.path / "hessian.json").read_bytes() == before


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("QPATCH_RESULTS", "~/mine")
    monkeypatch.setenv("QPATCH_DATA", "~/data")
    assert results_folder() == tmp_path / "mine"
    assert data_folder("shapes") == tmp_path / "data" / "shapes"
