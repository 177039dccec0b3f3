"""The tables beside the results: built from stored files, found out when they are not what these give."""

import numpy as np
import pandas as pd
import pytest
from helpers import MACHINE, REPOSITORY, TINY, store_hessian, store_landscape, store_training
from typer.testing import CliRunner

from qpatch.cli import app
from qpatch.config import RunConfig
from qpatch.runs.stored import stored_runs
from qpatch.study import seeds
from qpatch.study.replicas import replicas_folder
from qpatch.study.result_tables import built_tables, read_table, table_file, table_problems, write_tables
from qpatch.study.validation import check_results

LOSSES = [2.0, 1.0, *[1.5] * 15]


@pytest.fixture
def several(monkeypatch):
    """Two seeds each of two configurations, of sixteen epochs, with 40 per cent of their test images right."""
    monkeypatch.setattr(seeds, "right_images", lambda run: np.arange(10_000) < 4000)
    for depth in (50, 100):
        for seed in (1, 2):
            run = store_training(RunConfig(depth=depth, seed=seed, epochs=16), LOSSES, shift=seed)
            store_hessian(run, [float(depth + seed)] * 2)


def test_small_runs_make_no_table(results_folder):
    store_training(TINY, [2.0, 1.0, 1.0, 1.0, 1.0])
    assert write_tables() == []
    assert table_problems() == []
    assert not table_file("agreement").parent.exists()


def test_tables_are_written_and_found_sound(several, results_folder):
    names = [file.stem for file in write_tables()]
    assert names == ["images", "stages", "seeds", "verdicts"]
    assert check_results() == (4, [])
    verdicts = read_table("verdicts").set_index("claim")
    assert verdicts.loc["sharper", "first"] == "4 patches, depth 50"
    assert read_table("seeds")["lambda_max"].tolist() == [51.0, 52.0, 101.0, 102.0]
    assert read_table("images")["images"].tolist() == [10_000] * 4


def test_building_them_again_gives_the_same_bytes(several):
    files = write_tables()
    before = [file.read_bytes() for file in files]
    assert [file.read_bytes() for file in write_tables()] == before


def test_every_stage_is_listed_with_where_it_comes_from_and_is_missed_if_it_goes(several, results_folder):
    write_tables()
    stages = read_table("stages")
    assert stages["stage"].tolist() == ["train", "hessian"] * 4
    assert stages["name"].unique().tolist() == ["test"]
    assert (stages["seconds"] == 1.0).all()
    run = stored_runs(results_folder)[0]
    run.write_record("hessian", {}, 2.0, MACHINE, lambda_max=51.0, converged=True)  # the same number, made anew
    assert check_results()[1] == ["tables/stages.csv is not what the stored results give; run 'qpatch tables'"]
    run.reopen("hessian")
    assert "tables/stages.csv is not what the stored results give; run 'qpatch tables'" in check_results()[1]


def test_eigenvalues_over_different_images_are_a_problem_and_no_crash(several, results_folder):
    write_tables()
    store_hessian(stored_runs(results_folder)[0], [51.0, 51.0], {"subset": 100})
    problems = check_results()[1]
    assert any("is over 100 training images, those of the other seeds are not" in problem for problem in problems)
    write_tables()
    assert read_table("seeds")["lambda_max"].isna().tolist() == [True, False, False, False]


@pytest.mark.parametrize("name", ["seeds", "verdicts"])
def test_a_number_altered_in_a_table_is_found(several, name):
    write_tables()
    file = table_file(name)
    text = file.read_text()
    file.write_text(text.replace("51", "52", 1) if name == "seeds" else text.replace("holds", "undecided", 1))
    assert file.read_text() != text
    assert check_results()[1] == [f"tables/{name}.csv is not what the stored results give; run 'qpatch tables'"]


def test_a_table_that_is_missing_or_left_over_is_found(several, results_folder):
    write_tables()
    table_file("seeds").unlink()
    assert table_problems() == ["tables/seeds.csv is missing; run 'qpatch tables'"]
    write_tables()
    for record in results_folder.glob("mnist-s6-d050-*/train.json"):
        record.unlink()
    assert any("tables/verdicts.csv is not what" in problem for problem in table_problems())
    write_tables()
    assert len(read_table("seeds")) == 2


def test_a_full_run_beyond_the_bar_of_the_first_epoch_fails_the_check():
    run = store_training(RunConfig(), [2.0, 1.0, *[1.5] * 49])  # whose mini-batch losses are all 2
    _, problems = check_results()
    assert len(problems) == 60
    assert problems[0].startswith(f"{run.run_id}: the loss of iteration 0 of epoch 0 is 2, the author's 5.85413")


def test_a_copy_of_a_run_is_no_replica():
    store_training(TINY, [2.0, 1.0, 1.0, 1.0, 1.0], root=replicas_folder("double"))
    count, (problem,) = check_results()
    assert count == 1
    words = f"replicas/double/{TINY.run_id}: its training is not of the variant 'double' but {{}}; move "
    assert problem.startswith(words)


def test_the_command_lists_what_it_wrote(several):
    result = CliRunner().invoke(app, ["tables"])
    assert result.exit_code == 0
    assert [line.rsplit("/")[-1] for line in result.output.splitlines()] == [
        "images.csv",
        "stages.csv",
        "seeds.csv",
        "verdicts.csv",
    ]


def test_the_results_of_this_checkout_are_sound():
    count, problems = check_results(REPOSITORY / "data" / "results")
    assert count > 0
    assert problems == []


def test_an_empty_table_reads_as_one(results_folder):
    assert read_table("seeds").equals(pd.DataFrame())


# -- replicas never stand in for the run itself -------------------------------------------------------------------


def store_member(ratios: list[float], minima: int, variant: str | None = None, landscape: bool = True) -> None:
    """The paper's run of 4 patches and depth 50, or a replica of it, with a whole grid of so many basins."""
    parameters = {"variant": variant} if variant else {}
    root = replicas_folder(variant) if variant else None
    run = store_training(RunConfig(), [2.0, 1.0, *[1.5] * 49], root=root, parameters=parameters)
    if variant:  # no repetition of the run itself
        run.write_csv("iterations.csv", run.iterations().assign(loss=3.0))
        run.write_record("train", parameters, 1.0, MACHINE, best_epoch=0)
    if landscape:
        loss = np.full((3, 12), 5.0)
        loss[1, 1 : 3 * minima : 3] = 1.0
        store_landscape(run, list(range(12)), [0, 1, 2], loss)
        run.write_record("landscape", {}, 1.0, MACHINE, ratios=ratios, best_epoch=0)


def test_a_replica_with_a_whole_grid_does_not_take_the_place_of_the_run_itself():
    store_member([0.9, 0.05], minima=1)
    store_member([0.6, 0.15], minima=3, variant="double")
    verdicts = built_tables(pd.DataFrame())["verdicts"].set_index("claim")
    assert verdicts.loc["basin", ["effect", "agree", "pairs"]].tolist() == [1.0, 1, 1]
    everywhere, replicated = verdicts.loc["planar"].itertuples()
    assert (everywhere.first, everywhere.agree, everywhere.pairs) == ("all", 1, 1)
    assert (replicated.first, replicated.agree, replicated.pairs) == ("4 patches, depth 50", 1, 2)


def test_a_replica_does_not_stand_for_a_run_without_a_landscape():
    store_member([0.9, 0.05], minima=1, landscape=False)
    store_member([0.6, 0.15], minima=3, variant="double")
    assert built_tables(pd.DataFrame())["verdicts"].empty
