"""The published runs computed again: their stored parameters give their stored test losses, accuracies and answers."""

import pytest
from helpers import REPOSITORY

from qpatch.data import load_split
from qpatch.model.training import evaluate
from qpatch.runs.stored import stored_runs
from qpatch.study.result_tables import read_table
from qpatch.study.seeds import has_paper_size, right_images, unpack

RESULTS = REPOSITORY / "data" / "results"
RUNS = [run for run in stored_runs(RESULTS) if has_paper_size(run.config)]
CLOSE = 1e-5  # relative: logits in float32 are good to some 1e-5, and a mean over images is better than one of them
FLIPPED = 2  # images that rounding may turn over between two machines


def first_fast(runs):
    """Test parameters: the first run always, all others among the slow tests."""
    return [pytest.param(run, id=run.run_id, marks=[pytest.mark.slow] * (i > 0)) for i, run in enumerate(runs)]


@pytest.mark.parametrize("run", first_fast(RUNS))
def test_the_best_parameters_give_the_test_loss_and_accuracy_of_the_history(run):
    loss, accuracy = evaluate(run.model(), load_split(run.config, "test"))
    stored = run.history().set_index("epoch").loc[run.record("train")["best_epoch"]]
    assert loss == pytest.approx(stored["test_loss"], rel=CLOSE)
    assert abs(accuracy - stored["test_accuracy"]) * run.config.n_test <= FLIPPED


@pytest.mark.parametrize("run", first_fast([run for run in RUNS if not run.config.is_paper_run]))
def test_the_best_parameters_get_the_images_right_that_the_table_says(run):
    row = read_table("images", RESULTS).set_index("run_id").loc[run.run_id]
    assert (right_images(run) != unpack(row["right"], row["images"])).sum() <= FLIPPED
