"""Replicas of one seed: they differ by rounding and in nothing else; where they part, and what belongs to them."""

import contextlib

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import MACHINE, TINY, store_hessian, store_landscape, store_training
from scipy import stats
from typer.testing import CliRunner

from book.show.replication_tables import compared_files
from qpatch.cli import app
from qpatch.config import ConfigError, RunConfig
from qpatch.engine.compiled import takes
from qpatch.model import PatchQNN, Trainer
from qpatch.runs import published, train
from qpatch.runs.stages import STAGES
from qpatch.runs.store import RunFolder
from qpatch.runs.variants import STANDARD, VARIANTS, Variant
from qpatch.study import replicas

OTHERS = [name for name in VARIANTS if name != STANDARD]
LOSSES = [2.0, 1.0, 0.5, 0.25, 0.75]
IDENTICAL = [name for name in STAGES["train"].leaves if name != "history.csv"]  # which holds seconds


# -- variants -----------------------------------------------------------------------------------------------------


def train_again(config, folder, monkeypatch, shapes, variant=STANDARD) -> RunFolder:
    monkeypatch.setenv("QPATCH_RESULTS", str(folder))
    return train(config, "cpu", shapes, variant=variant)


def test_two_runs_with_the_same_settings_are_bit_identical(shapes, tmp_path, monkeypatch):
    first, second = (train_again(TINY, tmp_path / name, monkeypatch, shapes) for name in ("first", "second"))
    for name in IDENTICAL:
        assert first.file(name).read_bytes() == second.file(name).read_bytes(), name
    assert first.history().drop(columns="seconds").equals(second.history().drop(columns="seconds"))


@pytest.mark.parametrize(
    "variant",
    [Variant("pieces-200", "", piece=7), Variant("plain", "", plain=True), VARIANTS["double"]],
    ids=lambda variant: variant.name,
)
def test_variants_begin_alike_and_differ_by_rounding(variant, shapes, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, variant.name, variant)
    standard = train_again(TINY, tmp_path / "standard", monkeypatch, shapes)
    other = train_again(TINY, tmp_path / "other", monkeypatch, shapes, variant.name)
    assert other.record("train")["parameters"] == {"variant": variant.name}
    assert standard.record("train")["parameters"] == {}
    assert np.array_equal(standard.trajectory()[0], other.trajectory()[0])  # the same float32 angles
    ours, theirs = standard.iterations()["loss"], other.iterations()["loss"]
    # float32 logits of scale 100 carry 1e-5; a dozen steps of Adam do not yet amplify that
    assert np.allclose(ours, theirs, rtol=0, atol=1e-3)
    assert not np.array_equal(ours, theirs)


def test_the_gradient_of_pieces_is_that_of_the_batch(shapes):
    """In double precision the two agree to double rounding, so the pieces leave nothing out."""
    gradients = []
    for piece in (None, 7):
        trainer = Trainer(PatchQNN(TINY).double(), shapes, piece)
        next(trainer.steps())
        gradients.append(trainer.model.angles.grad.clone())
    assert torch.allclose(*gradients, rtol=1e-12, atol=1e-12)


def test_a_variant_sets_threads_and_kernels_and_puts_them_back():
    tensor, before = torch.zeros(1), torch.get_num_threads()
    with Variant("both", "", plain=True, threads=before + 1).applied():
        assert torch.get_num_threads() == before + 1
        assert not takes(tensor)
    assert torch.get_num_threads() == before
    assert takes(tensor)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ConfigError, match="variant is 'quad'; it must be one of standard, repeat"):
        train(TINY, "cpu", variant="quad")


# -- the ensemble -------------------------------------------------------------------------------------------------


def store_member(variant: str, losses: list[float], parted_at: int | None = None) -> RunFolder:
    """A member whose mini-batch losses are the standard's but for those from a step on."""
    root = None if variant == STANDARD else replicas.replicas_folder(variant)
    parameters = {} if variant == STANDARD else {"variant": variant}
    run = store_training(TINY, losses, root=root, parameters=parameters)
    iterations = run.iterations()
    if parted_at is not None:
        iterations.loc[parted_at - 1, "loss"] += 0.9 * published.PARTED
        iterations.loc[parted_at:, "loss"] += 2 * published.PARTED
    run.write_csv("iterations.csv", iterations)
    run.write_record("train", parameters, 1.0, MACHINE, best_epoch=int(np.argmin(losses)) - 1)
    return run


def test_members_are_the_run_itself_and_what_its_folder_says():
    store_member(STANDARD, LOSSES)
    store_member("double", LOSSES, 5)
    store_training(TINY, LOSSES, root=replicas.replicas_folder("plain"))  # a copy of the run itself
    assert list(replicas.ensemble(TINY)) == [STANDARD, "double"]
    assert replicas.ensembles() == [TINY]


def test_members_part_at_the_first_mini_batch_beyond_the_bar():
    store_member(STANDARD, LOSSES)
    store_member("plain", LOSSES, 8)
    store_member("double", LOSSES, 4)
    store_member("threads-2", LOSSES)
    members = replicas.ensemble(TINY)
    assert replicas.distinct(members) == {
        STANDARD: [STANDARD, "threads-2"], "plain": ["plain"], "double": ["double"]
    }  # fmt: skip
    table = replicas.partings(members).set_index(["variant", "other"])
    assert table.loc[(STANDARD, "plain")].tolist() == [2, 2]  # three iterations an epoch
    assert table.loc[("plain", "double")].tolist() == [1, 1]
    assert table.loc[(STANDARD, "threads-2")].isna().all()
    assert len(table) == 6
    apart = replicas.apart(members["plain"].iterations(), members[STANDARD].iterations())
    assert apart.iloc[0].tolist() == [2, 2]


def test_members_are_compared_file_by_file_where_both_have_one():
    same, other = store_member("repeat", LOSSES), store_member("again", LOSSES)
    store_hessian(same, [3.0, 4.0])
    assert compared_files(same, other) == {
        "iterations.csv": True, "best.safetensors": True, "trajectory.safetensors": True
    }  # fmt: skip
    store_hessian(other, [3.0, 4.0000001])
    assert compared_files(same, other)["eigenvalue.csv"] is False
    parted = store_member("double", LOSSES, 4)
    assert compared_files(same, parted)["iterations.csv"] is False


def test_the_table_has_the_reported_numbers_of_every_member():
    store_hessian(store_member(STANDARD, LOSSES), [3.0, 4.0])
    run = store_member("double", [2.0, 0.125, 0.5, 0.25, 0.75], 4)
    store_landscape(run, [0.0, 1.0], [0.0, 1.0], np.ones((2, 2)))
    table = replicas.ensemble_table(TINY).set_index("variant")
    assert table.loc[STANDARD, "train_loss"] == 0.25
    assert table.loc["double", ["best_epoch", "train_loss", "test_loss", "pc1_ratio"]].tolist() == [
        0,
        0.125,
        1.125,
        0.75,
    ]
    assert table.loc["double", ["parting_epoch", "parting_iteration"]].tolist() == [1, 1]
    assert np.isnan(table.loc["double", "lambda_max"])
    assert table.loc[STANDARD, "lambda_max"] == 4.0
    assert table["same_as"].isna().all()
    assert replicas.memberships(TINY) == {}  # the author has no such run


# -- membership ---------------------------------------------------------------------------------------------------


def test_membership_is_the_rank_and_the_prediction_interval():
    sample = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    far = replicas.membership(20.0, sample)
    half = stats.t.ppf(0.975, 4) * np.sqrt(2.5) * np.sqrt(1.2)
    assert far.predicted == pytest.approx((3 - half, 3 + half))
    assert (far.rank, far.p_rank) == (6, pytest.approx(1 / 3))  # the most that five replicas can say
    assert not far.plausible
    near = replicas.membership(3.0, sample)
    assert (near.rank, near.p_rank, near.plausible) == (3.5, 1.0, True)
    assert replicas.membership(-20.0, sample).p_rank == pytest.approx(1 / 3)


def test_members_that_are_all_the_same_predict_that_value_alone():
    found = replicas.membership(2.0, np.array([2.0, 2.0, 2.0]))
    assert (found.predicted, found.plausible) == ((2.0, 2.0), True)
    assert not replicas.membership(2.5, np.array([2.0, 2.0, 2.0])).plausible


def test_a_prediction_interval_holds_a_further_member_as_often_as_it_says():
    rng = np.random.default_rng(5)
    draws = rng.normal(size=(4000, 6))
    held = np.mean([replicas.membership(row[0], row[1:]).plausible for row in draws])
    assert held == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors of 4,000 draws


@pytest.mark.parametrize("sample", [[1.0, 2.0], [1.0, 2.0, np.nan]])
def test_too_small_a_sample_is_refused(sample):
    with pytest.raises(ValueError, match="three or more finite ones"):
        replicas.membership(1.0, np.array(sample))


def test_the_authors_values_are_held_against_full_members():
    config = RunConfig()
    for number, name in enumerate((STANDARD, "plain", "double")):
        root = None if name == STANDARD else replicas.replicas_folder(name)
        parameters = {} if name == STANDARD else {"variant": name}
        losses = [1.0, 0.02 + 0.001 * number] + [1.0] * 49
        run = store_training(config, losses, root=root, parameters=parameters)
        iterations = run.iterations()
        run.write_csv("iterations.csv", iterations.assign(loss=iterations["loss"] + number))
        run.write_record("train", parameters, 1.0, MACHINE, best_epoch=0)
    found = replicas.memberships(config)
    assert found["train_loss"].n == 3
    assert found["train_loss"].value == 0.022878
    assert found["train_loss"].rank == 4
    assert "lambda_max" not in found  # nobody has it


# -- the command --------------------------------------------------------------------------------------------------


def test_the_command_runs_each_variant_in_a_folder_of_its_own(monkeypatch, results_folder):
    seen = []

    def execute(run, stage, parameters, *others):
        seen.append((run.path, stage, parameters))

    monkeypatch.setattr("qpatch.runs.execution.execute_stage", execute)
    monkeypatch.setattr("qpatch.runs.execution.kernel", contextlib.nullcontext)
    result = CliRunner().invoke(app, ["replicas", "--variant", "double", "--variant", "plain", "-p", "epochs=3"])
    assert result.exit_code == 0, result.output
    assert [(path.parent, stage) for path, stage, _ in seen] == [
        (results_folder / "replicas" / variant, stage)
        for variant in ("double", "plain")
        for stage in ("train", "hessian", "landscape")
    ]
    assert seen[0][2] == {"n_points": 2, "variant": "double"}
    assert f"{RunConfig(epochs=3).run_id}, double: train done in 0 s" in result.output


def test_the_command_refuses_an_unknown_variant():
    result = CliRunner().invoke(app, ["replicas", "--variant", "standard"])
    assert result.exit_code == 2
    assert "variant is 'standard'; it must be one of repeat" in " ".join(result.stderr.split())


def test_a_replica_from_nothing_through_its_notebooks(shapes, results_folder):
    fields = ("dataset", "n_qubits", "n_classes", "image_size", "n_train", "n_test", "batch_size", "epochs")
    settings = [f"--param={name}={getattr(TINY, name)}" for name in fields]
    result = CliRunner().invoke(app, ["replicas", "--stride", "4", "--depth", "1", "--variant", "double", *settings])
    assert result.exit_code == 0, result.output
    run = replicas.ensemble(TINY)["double"]
    assert run.path == results_folder / "replicas" / "double" / TINY.run_id
    assert [run.state(stage) for stage in replicas.STAGES] == ["done"] * 3
    assert run.best_parameters()["angles"].dtype == torch.float64
    assert pd.read_csv(results_folder / "tables" / "ensemble.csv")["variant"].tolist() == ["double"]
    assert not (results_folder / TINY.run_id).exists()
    assert CliRunner().invoke(app, ["check"]).output == "1 runs checked, 0 problems\n"
