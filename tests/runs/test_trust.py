"""Damage to what an unfinished run keeps and to what a finished one stores: none is believed, all is mended."""

import contextlib
import functools

import pytest
import torch
from helpers import TINY, flip_byte
from safetensors import safe_open
from safetensors.torch import save_file

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.products import KeptProducts
from qpatch.model import flat
from qpatch.runs import compute_stage, train
from qpatch.runs.stages import STAGES


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
    return run_of(TINY, lambda data: train(TINY, "cpu", data))


def aside(run):
    return [path.name for path in run.cache.iterdir() if ".aside-" in path.name]


@pytest.mark.parametrize("damage", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_damaged_checkpoint_is_set_aside_and_the_training_begins_again(whole, shapes, capsys, damage):
    expected = outcome(whole, "train")
    (whole.path / "train.json").unlink()
    train(TINY, "cpu", shapes, max_steps=2 * TINY.n_batches)
    rewrite(whole.cache / "progress-train" / "checkpoint.safetensors", damage)
    run = train(TINY, "cpu", shapes)
    assert outcome(run, "train") == expected
    assert aside(run) == ["progress-train-checkpoint.safetensors.aside-1"]
    assert f"it is now {run.cache / aside(run)[0]}, and computed again" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["a flipped byte", "empty", "a folder", "half", "of another training"])
def test_what_is_no_checkpoint_of_this_training_is_set_aside(whole, shapes, how):
    expected = outcome(whole, "train")
    (whole.path / "train.json").unlink()
    train(TINY, "cpu", shapes, max_steps=2 * TINY.n_batches)
    other = train(TINY.replace(seed=5), "cpu", shapes, max_steps=TINY.n_batches)
    file, theirs = (run.cache / "progress-train" / "checkpoint.safetensors" for run in (whole, other))
    contents = file.read_bytes()
    if how == "a flipped byte":
        flip_byte(file, len(contents) // 2)
    elif how == "a folder":
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes({"empty": b"", "half": contents[: len(contents) // 2]}.get(how, theirs.read_bytes()))
    assert outcome(train(TINY, "cpu", shapes), "train") == expected
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
    expected = outcome(compute_stage("landscape", TINY, "cpu", shapes, n_points=4), "landscape")
    (whole.path / "landscape.json").unlink()
    with killed(flat, "evaluate", 9), pytest.raises(KeyboardInterrupt):
        compute_stage("landscape", TINY, "cpu", shapes, n_points=4)
    rewrite(whole.cache / "progress-landscape" / "rows.safetensors", changed("rows", torch.ones_like))
    assert outcome(compute_stage("landscape", TINY, "cpu", shapes, n_points=4), "landscape") == expected
    assert aside(whole) == ["progress-landscape-rows.safetensors.aside-1"]


@pytest.mark.parametrize("damage", ["times three", "exchanged"])
def test_a_kept_product_that_was_changed_is_not_believed(whole, shapes, monkeypatch, damage):
    monkeypatch.setattr("qpatch.curvature.KeptProducts", functools.partial(KeptProducts, least_seconds=0))
    expected = outcome(compute_stage("hessian", TINY, "cpu", shapes, tolerance=1e-7), "hessian")
    (whole.path / "hessian.json").unlink()
    with killed(LossCurvature, "_hessian_product", 2), pytest.raises(KeyboardInterrupt):
        compute_stage("hessian", TINY, "cpu", shapes, tolerance=1e-7)
    first, second, *_ = sorted(whole.cache.glob("progress-hessian/**/*.safetensors"))
    if damage == "exchanged":
        one, other = first.read_bytes(), second.read_bytes()
        first.write_bytes(other)
        second.write_bytes(one)
    else:
        rewrite(first, changed("image", lambda image: 3 * image))
    assert outcome(compute_stage("hessian", TINY, "cpu", shapes, tolerance=1e-7), "hessian") == expected
    assert len(aside(whole)) == (2 if damage == "exchanged" else 1)


# -- records ------------------------------------------------------------------------------------------------------
