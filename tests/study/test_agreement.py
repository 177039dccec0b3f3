"""Agreement with the author's numbers, of made-up full runs that differ from them by known amounts."""

import numpy as np
import pandas as pd
import pytest
from helpers import MACHINE, store_hessian, store_landscape, store_training

from qpatch.config import RunConfig
from qpatch.runs.published import reference_table
from qpatch.runs.stages.train import first_epoch_problems
from qpatch.runs.store import RunFolder
from qpatch.study.agreement import (
    COLUMNS,
    agreement_table,
    parting_epoch,
    published_units,
    run_agreement,
    run_partings,
)


def author_says(name: str, config: RunConfig) -> pd.DataFrame:
    return reference_table(name).query(f"stride == {config.stride} and depth == {config.depth}")


@pytest.fixture
def run() -> RunFolder:
    """Stride 6, depth 50: the author's losses, off by 2e-6 up to epoch 9, by 3e-3 from there; best epoch 36."""
    config = RunConfig()
    run = store_training(config, [1.0] * 37 + [0.5] + [0.75] * 13)
    history, iterations = run.history(), run.iterations()
    epochs, first = author_says("epochs", config), author_says("first_epoch", config)
    off = np.where(epochs["epoch"] < 10, 2e-6, 3e-3)
    history.loc[history["epoch"] >= 0, "test_loss"] = (epochs["test_loss"] + off).to_numpy()
    history.loc[history["epoch"] >= 0, "test_accuracy"] = epochs["test_accuracy"].to_numpy()
    iterations.loc[iterations["epoch"] == 0, "loss"] = (first["train_loss"] - 3e-5).to_numpy()
    iterations.loc[iterations["epoch"] == 0, "accuracy"] = first["train_accuracy"].to_numpy()
    run.write_csv("history.csv", history)
    run.write_csv("iterations.csv", iterations)
    run.write_record("train", {}, 1.0, MACHINE, best_epoch=36)
    return run


def test_units_are_those_of_the_last_printed_digit_but_not_finer_than_float32():
    epochs, runs = published_units("epochs"), published_units("runs")
    assert epochs["test_loss"].to_numpy() == pytest.approx(1e-5)
    assert epochs["test_accuracy"].to_numpy() == pytest.approx(1e-3)
    assert runs["train_loss"].iloc[0] == pytest.approx(1e-6)
    assert runs["test_accuracy"].iloc[0] == pytest.approx(1e-4)
    assert runs["best_epoch"].iloc[0] == 1
    assert runs["lambda_max"].iloc[0] == 2.0**-20  # of a float32 between 8 and 16


def test_every_published_number_has_its_difference(run):
    table = run_agreement(run).set_index(["source", "quantity", "at"])
    assert list(run_agreement(run).columns) == list(COLUMNS)
    assert len(table) == 60 * 2 + 50 * 2 + 5
    row = table.loc[("first_epoch", "train_loss", 7)]
    assert (row["difference"], row["units"]) == pytest.approx((3e-5, 3.0))
    row = table.loc[("epochs", "test_loss", 30)]
    assert (row["difference"], row["units"]) == pytest.approx((3e-3, 300))
    assert table.loc[("epochs", "test_accuracy", 30), "difference"] == 0
    row = table.xs("train_loss", level="quantity").xs("Table 1", level="source").iloc[0]
    assert (row["ours"], row["difference"]) == (0.5, pytest.approx(0.5 - 0.022878))
    assert table.xs("best_epoch", level="quantity")["difference"].iloc[0] == 0


def test_later_stages_add_their_rows_and_an_axis_may_be_turned_over(run):
    store_hessian(run, [15.0, 15.001])
    published = author_says("runs", run.config).iloc[0]
    store_landscape(run, [0.0, 1.0, 2.0], [0.0, 1.0], np.full((2, 3), 6.0))
    path = pd.read_csv(run.file("trajectory.csv"))
    path["x"] = np.linspace(-published["trajectory_pc1_max"], 22.0, len(path))  # the author's, turned over
    path["y"] = np.linspace(-1.0, 10.0, len(path))
    run.write_csv("trajectory.csv", path)
    run.write_record("landscape", {}, 1.0, MACHINE, ratios=[0.8, 0.1], best_epoch=36)
    table = run_agreement(run).set_index("quantity")
    assert table.loc["lambda_max", "ours"] == 15.0
    assert table.loc["trajectory_pc1_min", "ours"] == -22.0
    assert table.loc["trajectory_pc1_max", "difference"] == pytest.approx(0, abs=1e-12)
    assert table.loc["trajectory_pc2_min", "ours"] == -1.0
    assert table.loc["landscape_max_loss", "difference"] == pytest.approx(0.79)
    assert table.loc["pc1_ratio", "difference"] == pytest.approx(0.07535346)


def test_a_run_parts_in_the_first_epoch_beyond_the_bar(run):
    (row,) = run_partings(agreement_table([run])).itertuples()
    assert (row.parting, row.published_epochs) == (10, 50)
    assert row.before == pytest.approx(2e-6)
    assert row.first_epoch == pytest.approx(3e-5)
    (row,) = run_partings(agreement_table([run]), bar=1e-2).itertuples()
    assert row.parting is pd.NA


def test_a_crossing_later_on_does_not_undo_a_parting():
    table = pd.DataFrame({"at": [3, 4, 5], "difference": [1e-6, 1e-3, 1e-6]})
    assert parting_epoch(table) == 4
    assert parting_epoch(table[:1]) is None


def test_a_configuration_without_a_published_log_has_no_parting():
    run = store_training(RunConfig(depth=200), [1.0, 0.5] + [1.0] * 49)
    (row,) = run_partings(agreement_table([run])).itertuples()
    assert (row.published_epochs, row.parting) == (0, pd.NA)
    assert list(first_epoch_problems(run)) == []


def test_without_a_log_table_1_tells_whether_runs_are_together_at_the_best_epoch():
    config = RunConfig(depth=200)  # the author's best epoch is 46
    run = store_training(config, [1.0] * 47 + [0.5] + [0.75] * 3)
    history, published = run.history(), author_says("runs", config).iloc[0]
    for off, apart in ((9e-5, False), (2e-4, True)):
        history.loc[history["epoch"] == 46, "test_loss"] = published["test_loss"] + off
        run.write_csv("history.csv", history)
        run.write_record("train", {}, 1.0, MACHINE, best_epoch=46)
        (row,) = run_partings(agreement_table([run])).itertuples()
        assert (row.reported, row.reported_apart) == (46, apart)
    run.write_record("train", {}, 1.0, MACHINE, best_epoch=45)
    (row,) = run_partings(agreement_table([run])).itertuples()
    assert row.reported is pd.NA


def test_only_full_runs_are_compared():
    other = store_training(RunConfig(seed=5), [1.0, 0.5] + [1.0] * 49)
    table = agreement_table([other])
    assert (len(table), list(table.columns)) == (0, list(COLUMNS))
    assert list(first_epoch_problems(other)) == []


def test_one_iteration_beyond_the_bar_fails_the_run(run):
    assert list(first_epoch_problems(run)) == []
    iterations = run.iterations()
    iterations.loc[17, "loss"] += 2e-4
    run.write_csv("iterations.csv", iterations)
    (problem,) = list(first_epoch_problems(run))
    assert problem.startswith("the loss of iteration 17 of epoch 0 is")
    iterations.loc[17, "loss"] = float("nan")
    run.write_csv("iterations.csv", iterations)
    assert len(list(first_epoch_problems(run))) == 1
