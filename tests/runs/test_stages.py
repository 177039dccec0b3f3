"""The three stages on a small data set: what they store, and that an interruption changes nothing."""

import dataclasses
import functools
import json
import shutil
import signal
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY, flip_byte, start_python
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from qpatch.config import ConfigError
from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.power import power_iteration
from qpatch.curvature.products import KeptProducts
from qpatch.data import Dataset, Split, stratified_subset
from qpatch.files import Kept
from qpatch.landscape.planes import pca_plane
from qpatch.model import flat
from qpatch.model.qnn import PatchQNN
from qpatch.model.training import Trainer
from qpatch.runs import choose_device, compute_stage, train
from qpatch.runs.problems import run_problems
from qpatch.runs.progress import GridRows
from qpatch.runs.records import record_problems
from qpatch.runs.stages import STAGES
from qpatch.runs.store import ResultError, RunFolder

# So large a rate overshoots: the best epoch is neither the first nor one of the last two.
WILD = TINY.replace(learning_rate=0.2, seed=8, epochs=5)


@pytest.fixture
def trained(shapes):
    return train(WILD, "cpu", shapes)


def contents(run: RunFolder) -> dict:
    """All that a training stores, to the last bit, but for the seconds that it took."""
    stored = {name: run.file(name).read_bytes() for name in STAGES["train"].leaves if name != "history.csv"}
    return stored | {"history.csv": run.history().drop(columns="seconds").to_csv()}


# -- training -----------------------------------------------------------------------------------------------------


def test_training_stores_what_the_trainer_did(trained, shapes):
    trainer = Trainer(PatchQNN(WILD), shapes)
    epochs, angles, steps = [trainer.initial()], [trainer.model.angles.detach().flatten().clone()], []
    for _ in range(WILD.epochs):
        iterations, epoch = trainer.run_epoch()
        steps += iterations
        epochs.append(epoch)
        angles.append(trainer.model.angles.detach().flatten().clone())

    assert trained.state("train") == "done"
    assert trained.history()["train_loss"].tolist() == [epoch.train_loss for epoch in epochs]
    assert trained.history()["test_accuracy"].tolist() == [epoch.test_accuracy for epoch in epochs]
    assert trained.iterations().to_dict("records") == [dataclasses.asdict(step) for step in steps]
    assert np.array_equal(trained.trajectory(), torch.stack(angles))
    best = min(range(WILD.epochs + 1), key=lambda row: epochs[row].train_loss)
    assert 0 < best < WILD.epochs - 1
    assert trained.record("train")["best_epoch"] == best - 1
    assert torch.equal(trained.best_parameters()["angles"].flatten(), angles[best])
    assert run_problems(trained) == []


def test_training_leaves_no_checkpoint_and_only_its_files(trained):
    names = {path.name for path in trained.path.rglob("*") if path.is_file()}
    assert names == {"train.json", "stage.lock", *STAGES["train"].leaves}


def test_the_best_model_is_loaded_with_its_loss(trained, shapes):
    model = trained.model()
    loss = cross_entropy(model(shapes.train.images), shapes.train.labels).item()
    # float32 logits of scale 100 carry errors of some 1e-5
    assert loss == pytest.approx(trained.history()["train_loss"].min(), rel=1e-4, abs=1e-5)


KILLED_IN_THE_MIDDLE = f"""
import os, signal, torch
from qpatch.runs import compute_stage, train
from qpatch.model import training
from qpatch.config import RunConfig
torch.set_num_threads(1)
steps = training.Trainer.steps
def dying(trainer):
    for step in steps(trainer):
        if (step.epoch, step.iteration) == (4, 1):
            os.kill(os.getpid(), signal.SIGKILL)
        yield step
training.Trainer.steps = dying
train(RunConfig.from_dict({WILD.to_dict()}), "cpu")
"""


def test_a_checkpoint_of_another_variant_is_set_aside_and_named(shapes, capsys):
    config = TINY.replace(epochs=2)
    run = train(config, "cpu", shapes, max_steps=config.n_batches, variant="double")
    kept = (run.cache / "progress-train" / "checkpoint.safetensors").read_bytes()
    assert train(config, "cpu", shapes).best_parameters()["angles"].dtype == torch.float32
    aside = run.cache / "progress-train.aside-1"
    assert (aside / "checkpoint.safetensors").read_bytes() == kept
    assert f"it is now {aside}, and made anew" in capsys.readouterr().out


def test_a_checkpoint_of_other_code_is_set_aside(shapes, monkeypatch):
    config = TINY.replace(epochs=2)
    expected = contents(train(config, "cpu", shapes))
    shutil.rmtree(RunFolder(config).path)
    train(config, "cpu", shapes, max_steps=config.n_batches)
    monkeypatch.setattr("qpatch.runs.provenance.code_digest", lambda: "of another version")
    run = train(config, "cpu", shapes)
    assert (run.cache / "progress-train.aside-1").is_dir()
    assert contents(run) == expected


def test_a_finished_training_is_left_as_it_is_and_refused_to_another_variant(trained, shapes, monkeypatch):
    monkeypatch.setattr(Trainer, "steps", lambda trainer: pytest.fail("it trains again"))
    before = contents(trained)
    assert train(WILD, "cpu", shapes).state("train") == "done"
    with pytest.raises(ResultError, match=r"stored with variant unset, not double; --force \(in Python replace=True\)"):
        train(WILD, "cpu", shapes, variant="double")
    assert contents(trained) == before


@pytest.mark.parametrize(("stage", "other"), [("hessian", {"tolerance": 0.5}), ("landscape", {"n_points": 2})])
def test_a_finished_stage_is_replaced_only_when_told_to(trained, shapes, stage, other):
    run = compute_stage(stage, WILD, "cpu", data=shapes)
    record = run.record(stage)
    with pytest.raises(ResultError, match=f"the {stage} stage of {run.run_id} is stored with {next(iter(other))} "):
        compute_stage(stage, WILD, "cpu", data=shapes, **other)
    assert run.record(stage) == record
    compute_stage(stage, WILD, "cpu", data=shapes, replace=True, **other)
    assert run.record(stage)["parameters"] == record["parameters"] | other


def test_parameters_of_another_training_are_refused(trained, shapes):
    """The file is altered after the training; a record of its Hessian would pass it off as the training's."""
    file = trained.file("best.safetensors")
    flip_byte(file)
    with pytest.raises(ResultError, match=r"which is stale: best\.safetensors was altered after it was written; run"):
        compute_stage("hessian", WILD, "cpu", data=shapes)


@pytest.mark.parametrize("stage", ["hessian", "landscape", "spectrum", "slices"])
def test_other_images_than_those_of_the_training_are_refused(trained, shapes, stage):
    """Every image inverted: shape, labels and classes are as they were."""
    inverted = Split(shapes.train.images.max() - shapes.train.images, shapes.train.labels)
    with pytest.raises(ResultError, match="the images of data set 'shapes' are not those that it was trained on"):
        compute_stage(stage, WILD, "cpu", data=Dataset(inverted, shapes.test))
    assert trained.state(stage) == "missing"


def test_a_record_over_other_images_is_stale(trained, shapes):
    run = compute_stage("hessian", WILD, "cpu", data=shapes)
    record = run.record("hessian")
    assert record["data"] == trained.record("train")["data"]
    assert record_problems("hessian", record) == []
    (run.path / "hessian.json").write_text(json.dumps(record | {"data": "0" * 64}))
    assert run.reason("hessian") == "other images than the training's"
    older = {name: value for name, value in record.items() if name != "data"}
    (run.path / "hessian.json").write_text(json.dumps(older))
    assert run.state("hessian") == "done"


def test_the_digest_of_a_data_set_sees_every_image_and_label(shapes):
    train, digest = shapes.train, shapes.digest()
    moved, other = train.images.clone(), train.labels.clone()
    moved[-1, -1, -1] += 1e-6
    other[0] = (other[0] + 1) % 3
    for changed in (Split(moved, train.labels), Split(train.images, other)):
        assert Dataset(changed, shapes.test).digest() != digest
        assert Dataset(shapes.test, changed).digest() != digest


@pytest.mark.parametrize("stage", ["landscape", "slices"])
def test_a_published_run_without_its_path_says_where_to_get_one(trained, shapes, stage):
    """To run the same command again would find nothing to do."""
    trained.file("trajectory.safetensors").unlink()
    with pytest.raises(ResultError, match=r"whole path is not published.*QPATCH_RESULTS=<folder> before the same"):
        compute_stage(stage, WILD, "cpu", data=shapes)


def test_the_record_names_the_code_at_the_start_of_the_stage(shapes, monkeypatch):
    versions = iter(["0.1.0+aaaaaaa", "0.1.0+bbbbbbb"])
    monkeypatch.setattr("qpatch.runs.provenance.code_version", lambda: next(versions))
    assert train(TINY.replace(epochs=1), "cpu", shapes).record("train")["code"] == "0.1.0+aaaaaaa"


def test_a_training_killed_while_it_writes_its_results_is_not_done(shapes, monkeypatch):
    """The second training, by force, ends between its files and its record."""
    config = TINY.replace(epochs=2)
    run = train(config, "cpu", shapes)

    def killed(*arguments, **values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_record", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, "cpu", shapes, replace=True)
    assert run.state("train") == "missing"
    assert train(config, "cpu", shapes).state("train") == "done"


def test_a_training_killed_in_the_middle_of_an_epoch_resumes_bit_for_bit(trained, shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("QPATCH_RESULTS", str(tmp_path / "killed"))
    with start_python(KILLED_IN_THE_MIDDLE) as process:
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    killed = RunFolder(WILD)
    checkpoint = load_file(killed.cache / "progress-train" / "checkpoint.safetensors")
    assert checkpoint["trainer.epoch"] == 4  # the epoch to begin again
    assert killed.state("train") == "missing"

    (killed.cache / ".checkpoint.safetensors.0123.part").write_bytes(b"killed while it wrote")
    epochs, steps = [], Trainer.steps
    monkeypatch.setattr(Trainer, "steps", lambda trainer: epochs.append(trainer.epoch) or steps(trainer))
    resumed = train(WILD, "cpu", shapes)
    assert epochs == [4]
    assert contents(resumed) == contents(trained)
    assert not (resumed.cache / "progress-train").exists()


def test_a_training_that_diverges_keeps_its_last_good_epoch(shapes, monkeypatch):
    steps = Trainer.steps

    def poisoned(trainer):
        if trainer.epoch == 2:
            trainer.model.angles.data[0, 0] = float("nan")
        return steps(trainer)

    monkeypatch.setattr(Trainer, "steps", poisoned)
    with pytest.raises(FloatingPointError, match="the loss is nan at epoch 2, iteration 0"):
        train(WILD, "cpu", shapes)
    kept = load_file(RunFolder(WILD).cache / "progress-train" / "checkpoint.safetensors")
    assert kept["trainer.epoch"] == 2
    assert all(torch.isfinite(value).all() for value in kept.values())


def test_training_that_another_holds_is_refused(shapes):
    with RunFolder(WILD).locked(), pytest.raises(ResultError, match="is being computed by another process"):
        train(WILD, "cpu", shapes)


# -- Hessian ------------------------------------------------------------------------------------------------------


def test_hessian_is_that_of_the_best_epoch_over_all_training_images(trained, shapes):
    run = compute_stage("hessian", WILD, "cpu", tolerance=1e-5, max_iterations=50, start_seed=3, data=shapes)
    curvature = LossCurvature(trained.model(), shapes.train)
    expected = power_iteration(curvature.hessian, 3, 1e-5, 50)
    record = run.record("hessian")
    assert (record["lambda_max"], record["converged"]) == (expected.eigenvalue, expected.converged)
    assert run.table("eigenvalue.csv")["estimate"].tolist() == expected.estimates
    assert run.table("eigenvalue.csv")["residual"].tolist() == expected.residuals
    assert record["parameters"] == {"tolerance": 1e-5, "max_iterations": 50, "start_seed": 3}
    assert run.state("hessian") == "done"


def test_a_killed_hessian_goes_on_after_its_last_product(trained, shapes, monkeypatch):
    monkeypatch.setattr("qpatch.curvature.KeptProducts", functools.partial(KeptProducts, least_seconds=0))
    product, computed = LossCurvature._hessian_product, []

    def killed(curvature, vector):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(vector)
        return product(curvature, vector)

    options = {"tolerance": 1e-5, "max_iterations": 50, "data": shapes, "replace": True}
    expected = compute_stage("hessian", WILD, "cpu", **options).table("eigenvalue.csv")["estimate"]
    monkeypatch.setattr(LossCurvature, "_hessian_product", killed)
    with pytest.raises(KeyboardInterrupt):
        compute_stage("hessian", WILD, "cpu", **options)
    monkeypatch.setattr(LossCurvature, "_hessian_product", lambda *given: computed.append(given) or product(*given))
    run = compute_stage("hessian", WILD, "cpu", **options)
    assert np.array_equal(run.table("eigenvalue.csv")["estimate"], expected)
    assert len(computed) == len(expected)
    assert not (run.cache / "progress-hessian").exists()


def test_hessian_of_a_subset_is_over_those_images_and_labelled_so(trained, shapes):
    parameters = {"tolerance": 1e-5, "max_iterations": 50, "subset": 20}
    run = compute_stage("hessian", WILD, "cpu", **parameters, data=shapes)
    chosen = stratified_subset(shapes.train, 20)
    assert len(chosen) == 20 < len(shapes.train)
    curvature = LossCurvature(trained.model(), chosen)
    record = run.record("hessian")
    assert record["lambda_max"] == power_iteration(curvature.hessian, 0, 1e-5, 50).eigenvalue
    assert record["parameters"] == STAGES["hessian"].recorded(parameters)


def test_later_stages_need_a_training(shapes):
    for stage in ("hessian", "landscape", "spectrum", "slices"):
        with pytest.raises(
            ResultError,
            match=f"the {stage} stage needs a finished training, which is missing: no rec",
        ):
            compute_stage(stage, WILD, "cpu", data=shapes)


# -- landscape ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"epochs": 1}, {"epochs": 2, "cosine_period": 1}])
def test_a_path_that_spans_no_plane_is_what_is_refused_beforehand(shapes, fields):
    with pytest.raises(ConfigError, match="1 of a learning rate above 0: the landscape stage draws a plane"):
        compute_stage("landscape", TINY.replace(**fields), "cpu", shapes)
    path = train(TINY.replace(**fields), "cpu", shapes).trajectory()
    with pytest.raises(ValueError, match=r"spans no plane|needs three or more points"):
        pca_plane(path, 0)


def test_landscape_is_the_loss_on_the_trajectorys_plane(trained, shapes):
    """The plane by a plain singular value decomposition, a corner's loss by the model itself."""
    run = compute_stage("landscape", WILD, "cpu", n_points=3, margin=2.0, data=shapes)
    landscape, record = run.landscape(), run.record("landscape")
    trajectory = trained.trajectory().astype(np.float64)
    mean = trajectory.mean(0)
    _, singular, axes = np.linalg.svd(trajectory - mean, full_matrices=False)
    coordinates = (trajectory - mean) @ axes[:2].T
    best = trained.record("train")["best_epoch"] + 1
    signs = np.sign((landscape.trajectory * (coordinates - coordinates[best])).sum(0))
    expected = signs * (coordinates - coordinates[best])
    assert np.allclose(landscape.trajectory, expected, atol=1e-9)
    assert np.allclose(landscape.ratios, (singular**2 / (singular**2).sum())[:2], atol=1e-9)
    assert np.allclose([landscape.x[0], landscape.x[-1]], [expected[:, 0].min() - 2, expected[:, 0].max() + 2])
    assert np.allclose([landscape.y[0], landscape.y[-1]], [expected[:, 1].min() - 2, expected[:, 1].max() + 2])
    assert landscape.best == best
    assert record["parameters"] == {"n_points": 3, "margin": 2.0}

    model = trained.model()  # with the best epoch's bias
    corner = mean + coordinates[best] @ axes[:2] + (signs * [landscape.x[0], landscape.y[-1]]) @ axes[:2]
    with torch.no_grad():
        model.angles.copy_(torch.from_numpy(corner).reshape(model.angles.shape))
        loss = cross_entropy(model(shapes.train.images), shapes.train.labels).item()
    assert landscape.loss[-1, 0] == pytest.approx(loss, rel=1e-5)  # float32
    assert run_problems(run) == []


def test_a_landscape_is_drawn_anew_on_its_own_plane_where_the_path_is_not_published(trained, shapes):
    """As in a clone: the same points and others of one plane, whose axes are kept in float32."""
    known = compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes).landscape()
    trained.file("trajectory.safetensors").unlink()
    again = compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes, replace=True).landscape()
    assert np.array_equal(again.trajectory, known.trajectory)
    assert np.array_equal(again.ratios, known.ratios)
    assert np.allclose(again.loss, known.loss, rtol=1e-5)
    finer = compute_stage("landscape", WILD, "cpu", n_points=7, data=shapes, replace=True).landscape()
    assert np.allclose(finer.loss[::2, ::2], known.loss, rtol=1e-5)  # every other point is one of the four
    assert trained.state("landscape") == "done"


def test_a_landscape_is_refused_where_neither_path_nor_plane_can_be_trusted(trained, shapes):
    compute_stage("landscape", WILD, "cpu", n_points=3, data=shapes)
    trained.file("trajectory.safetensors").unlink()
    flip_byte(trained.file("plane.safetensors"))
    with pytest.raises(ResultError, match="a run's whole path is not published"):
        compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes, replace=True)


def test_an_interrupted_landscape_goes_on_after_its_finished_rows(trained, shapes, monkeypatch):
    whole = compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes).landscape().loss
    (trained.path / "landscape.json").unlink()
    calls, evaluate = [], flat.evaluate

    def failing(model, split):
        calls.append(1)
        if len(calls) == 10:  # in the third row of four
            raise KeyboardInterrupt
        return evaluate(model, split)

    monkeypatch.setattr(flat, "evaluate", failing)
    with pytest.raises(KeyboardInterrupt):
        compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes)
    assert trained.state("landscape") == "missing"
    run = compute_stage("landscape", WILD, "cpu", n_points=4, data=shapes)
    assert len(calls) == 10 + 2 * 4
    assert np.array_equal(run.landscape().loss, whole)
    assert not (run.cache / "progress-landscape").exists()


def test_rows_of_another_grid_are_not_mixed_in(trained, shapes, monkeypatch):
    compute_stage("landscape", WILD, "cpu", n_points=3, margin=1.0, data=shapes)
    expected = pd.read_csv(trained.path / "landscape.csv")

    def interrupted(*args, on_row, **options):
        on_row(np.zeros((2, 3)))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("qpatch.landscape.evaluate_grid", interrupted)
        with pytest.raises(KeyboardInterrupt):
            compute_stage("landscape", WILD, "cpu", n_points=3, margin=2.0, data=shapes, replace=True)
    compute_stage("landscape", WILD, "cpu", n_points=3, margin=1.0, data=shapes, replace=True)
    assert pd.read_csv(trained.path / "landscape.csv").equals(expected)


# -- devices ------------------------------------------------------------------------------------------------------


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "cpu"
    with pytest.raises(ValueError, match=r"device 'cuda:1' was asked for, but PyTorch sees no CUDA device; use 'auto'"):
        choose_device("cuda:1")


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"
    assert choose_device("cpu").type == "cpu"


def test_training_in_pieces_of_steps_ends_as_training_at_once(trained, shapes, results_folder):
    """Steps of an unfinished epoch are done again, so pieces of one epoch and a half take one epoch each."""
    config, pieces = WILD.replace(seed=WILD.seed + 1), 0
    while (run := train(config, "cpu", shapes, max_steps=config.n_batches * 3 // 2)).state("train") != "done":
        pieces += 1
        assert not run.file("history.csv").exists()
        kept = load_file(run.cache / "progress-train" / "checkpoint.safetensors")
        assert len(kept["iterations"]) == pieces * config.n_batches
        assert pieces < config.epochs
    in_pieces = run.trajectory()
    shutil.rmtree(run.path)
    assert np.array_equal(train(config, "cpu", shapes).trajectory(), in_pieces)


def test_steps_that_fill_an_epoch_finish_it(trained, shapes):
    config = WILD.replace(seed=WILD.seed + 2, epochs=2)
    for epochs in (1, 2):
        run = train(config, "cpu", shapes, max_steps=config.n_batches)
        assert (run.state("train") == "done") == (epochs == 2)
    assert len(run.history()) == config.epochs + 1


def test_no_steps_are_refused(shapes):
    with pytest.raises(ValueError, match="max_steps is 0; take one or more"):
        train(WILD, "cpu", shapes, max_steps=0)


def test_a_device_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="device 'gpu' is none that this package runs on"):
        choose_device("gpu")


def test_the_best_model_keeps_the_precision_of_its_training(shapes):
    config = TINY.replace(epochs=1)
    run = train(config, "cpu", shapes, variant="double")
    model, stored = run.model(), run.best_parameters()
    assert model.bias.dtype == stored["angles"].dtype == torch.float64
    assert torch.equal(model.angles.data, stored["angles"])


def test_rows_survive_a_plane_that_moved_by_rounding_and_no_other(tmp_path):
    axes, done = {"x": np.linspace(-1, 2, 4), "y": np.linspace(0, 5, 4)}, np.ones((2, 4))
    GridRows(Kept(tmp_path), "rows", axes).save(done)

    def load(**changed):
        return GridRows(Kept(tmp_path), "rows", axes | changed).load()

    assert np.array_equal(load(x=axes["x"] + 1e-9), done)
    assert load(x=axes["x"] + 1e-3) is None
    assert load(x=np.linspace(-1, 2, 5)) is None


def test_the_time_of_rows_is_that_of_all_calls_that_computed_them(tmp_path, monkeypatch):
    """Two calls of 7 and 5 seconds, by a clock that the test turns."""
    clock = iter([100.0, 107.0, 200.0, 205.0, 300.0])
    monkeypatch.setattr("qpatch.runs.progress.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    GridRows(Kept(tmp_path), "rows", {}).save(np.ones((1, 4)))
    resumed = GridRows(Kept(tmp_path), "rows", {})
    assert len(resumed.load()) == 1
    assert resumed.earlier == 7
    resumed.save(np.ones((2, 4)))
    last = GridRows(Kept(tmp_path), "rows", {})
    assert len(last.load()) == 2
    assert last.earlier == 12
