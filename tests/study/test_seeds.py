"""Runs of several seeds: which ones tests rest on, and which test images they get right."""

import fnmatch

import numpy as np
import pandas as pd
import pytest
from helpers import REPOSITORY, TINY, store_hessian, store_training

from qpatch.config import RunConfig
from qpatch.runs import train
from qpatch.runs.profiles import SEED_EPOCHS, profile_runs
from qpatch.runs.store import RunFolder
from qpatch.study import seeds


def folders(*configs) -> list[RunFolder]:
    return [RunFolder(config) for config in configs]


def test_the_seeds_profile_is_four_further_seeds_of_seven_sizes_on_sixteen_epochs():
    runs = profile_runs("seeds")
    assert len(runs) == 28
    assert {run.seed for run in runs} == {1002, 1003, 1004, 1005}
    four_patches = {(6, 50), (6, 100), (6, 150), (6, 200)}
    assert {(run.stride, run.depth) for run in runs} == four_patches | {(3, 50), (3, 100), (2, 50)}
    assert {run.epochs for run in runs} == {SEED_EPOCHS} == {16}
    assert all(seeds.has_paper_size(run) and not run.is_paper_run for run in runs)


def test_only_the_seed_and_the_epochs_may_differ_from_the_paper():
    assert seeds.has_paper_size(RunConfig(stride=3, depth=150, seed=9, epochs=7))
    assert not seeds.has_paper_size(RunConfig(depth=50, learning_rate=0.02))
    assert not seeds.has_paper_size(RunConfig(depth=8))
    assert not seeds.has_paper_size(TINY)


def test_runs_are_those_of_the_schedule_with_most_repeated_seeds():
    short = [RunConfig(depth=depth, seed=seed, epochs=16) for depth in (50, 100) for seed in (1, 2)]
    alone = RunConfig(stride=3, seed=1, epochs=16)
    paper = [RunConfig(), RunConfig(depth=100)]
    chosen = seeds.seed_runs(folders(*short, alone, *paper, TINY))
    assert [run.config for run in chosen] == short
    long = [RunConfig(depth=depth, seed=2) for depth in (50, 100)]  # with the paper's own: two seeds of 50 epochs
    assert {run.config.epochs for run in seeds.seed_runs(folders(*short, *paper, *long))} == {50}
    assert seeds.seed_runs(folders(*paper)) == []


def test_runs_of_the_plan_judge_alone_once_all_are_there_and_not_before():
    known, fresh = folders(*profile_runs("seeds")), folders(*profile_runs("confirm"))
    assert seeds.seed_runs([*known, *fresh[:-1]]) == known
    assert seeds.seed_runs([*known, *fresh]) == fresh


def test_an_eigenvalue_over_other_images_than_most_is_left_out_and_named_with_its_remedy():
    runs = [store_training(RunConfig(depth=50, seed=seed, epochs=4), [2.0, 1.0, 0.5, 0.25, 0.75]) for seed in (1, 2, 3)]
    for run, parameters in zip(runs, ({"subset": 6000}, {}, {"subset": 6000}), strict=True):
        store_hessian(run, [3.0, 4.0], parameters)
    assert seeds.seeds_table(runs)["lambda_max"].isna().tolist() == [False, True, False]
    (problem,) = seeds.subset_problems(runs)
    assert problem == (
        f"the largest eigenvalue of {runs[1].run_id} is over all training images, those of the other seeds are not;"
        " run 'qpatch run --stride 6 --depth 50 -p seed=2 -p epochs=4 --stage hessian -p subset=6000 --force'"
    )


def test_bits_are_packed_and_unpacked():
    right = np.random.default_rng(0).random(13) < 0.5
    assert seeds.pack(np.array([1, 0, 0, 0, 0, 0, 0, 1, 1], bool)) == "8180"
    assert np.array_equal(seeds.unpack(seeds.pack(right), 13), right)


def test_right_images_are_the_best_models(shapes):
    run = train(TINY, "cpu", shapes)
    right = seeds.right_images(run)
    best = run.history().set_index("epoch").loc[run.record("train")["best_epoch"]]
    assert right.shape == (TINY.n_test,)
    assert right.mean() == pytest.approx(best["test_accuracy"])


@pytest.fixture
def pair(monkeypatch):
    """Two seeds, every run with 40 per cent of its test images right, as their histories say; and what was computed."""
    computed = []

    def right_images(run):
        computed.append(run.config.seed)
        return np.arange(run.config.n_test) < 0.4 * run.config.n_test

    monkeypatch.setattr(seeds, "right_images", right_images)
    losses = [2.0, 1.0, *[1.5] * 15]
    return [store_training(RunConfig(seed=seed, epochs=16), losses, shift=seed) for seed in (1, 2)], computed


def test_images_are_computed_once_for_the_same_parameters(pair):
    runs, computed = pair
    table = seeds.images_table(runs, known=pd.DataFrame())
    assert computed == [1, 2]
    assert seeds.images_table(runs, table).equals(table)
    assert computed == [1, 2]
    store_training(RunConfig(seed=2, epochs=16), [2.0, 1.0, *[1.5] * 15], shift=9.0)
    seeds.images_table(runs, table)
    assert computed == [1, 2, 2]


def test_images_that_contradict_the_history_are_a_problem(pair):
    runs, _ = pair
    table = seeds.images_table(runs, known=pd.DataFrame())
    assert seeds.images_problems(runs, table) == []
    table.loc[0, "right"] = seeds.pack(np.arange(10_000) < 4003)
    (problem,) = seeds.images_problems(runs, table)
    assert "has 4003 images right for mnist-s6-d050-seed1-78e9d3a6, its history 4000" in problem
    table.loc[1, "best"] = "0"
    assert "no row for the parameters of mnist-s6-d050-seed2" in seeds.images_problems(runs, table)[1]
    assert len(seeds.images_problems(runs, pd.DataFrame())) == 2


def test_the_table_has_a_row_a_run(pair):
    runs, _ = pair
    table = seeds.seeds_table(runs)
    assert table["seed"].tolist() == [1, 2]
    assert set(table["epochs"]) == {16}
    assert table["train_loss"].tolist() == [1.0, 1.0]
    assert table["lambda_max"].isna().all()
    assert seeds.seeds_table([]).empty


def test_the_runs_of_the_profile_are_among_those_that_are_published():
    """Git ignores all results but those that its patterns name; the short schedule's digest stands in one of them."""
    lines = (REPOSITORY / ".gitignore").read_text().splitlines()
    patterns = [line.removeprefix("!data/results/") for line in lines if line.startswith("!data/results/")]
    for config in profile_runs("seeds") + profile_runs("paper"):
        assert any(fnmatch.fnmatchcase(config.run_id, pattern) for pattern in patterns), config.run_id
    assert not any(fnmatch.fnmatchcase(profile_runs("class")[0].run_id, pattern) for pattern in patterns)
