"""The configuration: the paper's values, derived facts, run ids, profiles, and what bad values are told."""

import dataclasses

import pandas as pd
import pytest
import torch
from helpers import REPOSITORY

from qpatch.config import ConfigError, RunConfig, default_learning_rate, valid_strides
from qpatch.model.qnn import cut_patches
from qpatch.runs.profiles import PROFILES, profile_runs, profile_stages
from qpatch.runs.stages import STAGES

AUTHOR_RUNS = pd.read_csv(REPOSITORY / "data" / "reference" / "author_runs.csv")


def blind_config(stride: int) -> RunConfig:
    """Four-pixel patches too far apart to cover 14 pixels."""
    return RunConfig(stride=stride, n_qubits=4, n_classes=8, allow_unseen=True)


def test_defaults_are_the_papers_protocol():
    protocol = {
        "stride": 6, "depth": 50, "seed": 1001, "dataset": "mnist", "n_qubits": 8, "n_classes": 10, "image_size": 14,
        "scale": 100.0, "epochs": 50, "batch_size": 1000, "n_train": 60_000, "n_test": 10_000, "learning_rate": 1e-2,
        "weight_decay": 5e-5, "cosine_period": 5,
    }  # fmt: skip
    assert RunConfig().to_dict() == protocol
    assert RunConfig().n_batches == 60


@pytest.mark.parametrize("row", AUTHOR_RUNS.to_dict("records"), ids=lambda row: f"s{row['stride']}-d{row['depth']}")
def test_derived_facts_are_those_of_the_authors_runs(row):
    config = RunConfig(stride=row["stride"], depth=row["depth"])
    assert config.n_patches == row["n_patches"]
    assert config.n_angles == row["n_parameters"]
    assert config.learning_rate == row["initial_lr"]
    assert config.is_paper_run


@pytest.mark.parametrize(("n_qubits", "depth", "n_angles"), [(8, 50, 2528), (4, 3, 104), (6, 1, 108)])
def test_angles_of_a_qnn(n_qubits, depth, n_angles):
    assert RunConfig(stride=2, depth=depth, n_qubits=n_qubits, n_classes=8).n_angles_per_qnn == n_angles


@pytest.mark.parametrize(
    ("depth", "rate"),
    # geometric interpolation: 75 and 175 are halfway, so the root of the product of their neighbours' rates
    [(1, 1e-2), (50, 1e-2), (75, (1e-2 * 5e-3) ** 0.5), (150, 2.5e-3), (175, (2.5e-3 * 1e-3) ** 0.5), (900, 1e-3)],
)
def test_learning_rate_of_any_depth(depth, rate):
    assert default_learning_rate(depth) == pytest.approx(rate, rel=1e-12)


def test_valid_strides_tile_the_image():
    assert valid_strides(14, 8) == (1, 2, 3, 6)
    assert valid_strides(14, 4) == (1, 2)
    assert valid_strides(14, 4, allow_unseen=True) == (1, 2, 5, 10)
    assert valid_strides(8, 4) == (1, 2, 4)
    assert valid_strides(8, 8) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stride": 5}, r"stride 5 does not tile 14 pixels with 8-pixel patches; use 1, 2, 3 or 6"),
        ({"stride": 0}, r"stride 0 does not tile"),
        ({"image_size": 9, "stride": 2}, r"stride 2 does not tile 9 pixels with 8-pixel patches; use 1$"),
        ({"image_size": 8}, r"image_size 8 leaves no room for two patches of 8 pixels"),
        ({"n_qubits": 4, "stride": 3}, r"stride 3 does not tile 14 pixels with 4-pixel patches; use 1 or 2$"),
        ({"n_qubits": 4, "stride": 10}, r"stride 10 leaves 132 of 196 pixels unseen by any 4-pixel patch; use 1 or 2"),
        ({"n_qubits": 4, "stride": 5}, r"stride 5 leaves 52 of 196 pixels unseen.* or say allow_unseen=True"),
        ({"allow_unseen": 1}, r"allow_unseen is 1; it must be True or False"),
        ({"n_qubits": 7}, r"n_qubits is 7; it must be even"),
        ({"n_qubits": 0}, r"n_qubits is 0; it must be even and at least 2"),
        ({"n_qubits": 4, "stride": 2}, r"n_classes is 10; 4 qubits read out 2 to 8 classes"),
        ({"n_classes": 1}, r"n_classes is 1; 8 qubits read out 2 to 16"),
        ({"depth": -3}, r"depth is -3; it must be at least 1"),
        ({"depth": 2.5}, r"depth is 2\.5; it must be a whole number"),
        ({"depth": True}, r"depth is True; it must be a whole number"),
        ({"depth": None}, r"depth is None; it must be a whole number"),
        ({"seed": -1}, r"seed is -1; it must lie between 0 and 4294967295"),
        ({"seed": 2**32}, r"seed is 4294967296"),
        ({"dataset": "../mnist"}, r"dataset is '\.\./mnist'; it must be a name of lower-case letters"),
        ({"epochs": 0}, r"epochs is 0; it must be at least 1"),
        ({"n_test": 0}, r"n_test is 0"),
        ({"cosine_period": 0}, r"cosine_period is 0"),
        ({"batch_size": 7}, r"batch_size 7 does not cut n_train 60000 into two or more equal batches"),
        ({"batch_size": 60_000}, r"batch_size 60000 does not cut"),
        ({"learning_rate": -0.1}, r"learning_rate is -0\.1; it must be positive"),
        ({"learning_rate": "fast"}, r"learning_rate is 'fast'; it must be a finite number"),
        ({"learning_rate": float("nan")}, r"learning_rate is nan; it must be a finite number"),
        ({"scale": float("inf")}, r"scale is inf; it must be a finite number"),
        ({"scale": 0.0}, r"scale is 0\.0; it must be positive"),
        ({"weight_decay": -1e-3}, r"weight_decay is -0\.001; it must lie between 0 and 1"),
        ({"weight_decay": None}, r"weight_decay is None; it must be a finite number"),
    ],
)
def test_bad_values_are_refused_with_what_would_be_right(changes, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(**changes)


def test_unknown_field_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown configuration field 'strides'; the fields are stride, depth, seed"):
        RunConfig.from_dict({"strides": 6})


def test_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunConfig().depth = 100


def test_dictionary_and_back():
    config = RunConfig(stride=3, depth=70, scale=50.0, learning_rate=0.3)
    assert RunConfig.from_dict(config.to_dict()) == config


def test_replace_lets_the_learning_rate_follow_the_depth_unless_set_by_hand():
    assert RunConfig(depth=50).replace(depth=200).learning_rate == 1e-3
    assert RunConfig(depth=50, learning_rate=0.3).replace(depth=200).learning_rate == 0.3
    assert RunConfig(depth=50).replace(depth=200, learning_rate=0.2).learning_rate == 0.2


def test_run_id_of_a_paper_run_sorts_and_reads():
    assert RunConfig().run_id == "mnist-s6-d050-seed1001"
    assert RunConfig(stride=2, depth=200, seed=7).run_id == "mnist-s2-d200-seed7"


def test_equal_configurations_have_equal_ids():
    for values in ({"weight_decay": 0}, {"scale": 50}, {"learning_rate": 1}):
        exact = {name: float(value) for name, value in values.items()}
        assert RunConfig(**values) == RunConfig(**exact)
        assert RunConfig(**values).run_id == RunConfig(**exact).run_id


def test_run_id_names_every_departure_from_the_protocol():
    base = RunConfig(stride=2, depth=4)
    departures = {
        "dataset": "fashion", "n_qubits": 10, "n_classes": 8, "scale": 10.0, "epochs": 3, "batch_size": 500,
        "n_train": 30_000, "n_test": 500, "learning_rate": 0.5, "weight_decay": 0.0, "cosine_period": 7,
        "image_size": 16,
    }  # fmt: skip
    ids = [base.run_id, *(base.replace(**{name: value}).run_id for name, value in departures.items())]
    assert len(set(ids)) == len(departures) + 1
    assert base.replace(n_qubits=10).run_id == "mnist-q10-s2-d004-seed1001"
    assert base.replace(epochs=3).run_id.startswith("mnist-s2-d004-seed1001-")


def test_learning_rate_given_by_hand_as_the_default_is_the_same_run():
    assert RunConfig(depth=100, learning_rate=5e-3) == RunConfig(depth=100)


def test_a_stride_that_leaves_pixels_unseen_must_be_allowed_and_shows_in_name_and_record():
    blind = RunConfig(stride=5, n_qubits=4, n_classes=8, allow_unseen=True)
    assert blind.to_dict()["allow_unseen"] is True
    assert RunConfig.from_dict(blind.to_dict()) == blind
    assert blind.run_id.startswith("mnist-q4-s5-d050-seed1001-")
    seeing = blind.replace(stride=2)
    assert seeing == RunConfig(stride=2, n_qubits=4, n_classes=8)
    assert "allow_unseen" not in seeing.to_dict()  # as in all records of runs before there was this field
    assert seeing.run_id == blind.replace(stride=2, allow_unseen=False).run_id


@pytest.mark.parametrize(
    ("config", "seen"),
    [(RunConfig(), 1), (RunConfig(stride=2), 1), (blind_config(5), 144 / 196), (blind_config(10), 64 / 196)],
    ids=lambda value: str(getattr(value, "stride", "")),
)
def test_coverage_counts_the_patches_that_are_cut_over_each_pixel(config, seen):
    size = config.image_size
    pixels = cut_patches(torch.arange(size**2).float().reshape(1, size, size), config.patch_size, config.stride)
    expected = pixels.flatten().long().bincount(minlength=size**2).reshape(size, size)
    assert torch.equal(torch.tensor(config.coverage), expected)
    assert config.seen_share == pytest.approx(seen, rel=1e-12)


def test_only_the_papers_configurations_count_as_paper_runs():
    others = [RunConfig(seed=1), RunConfig(depth=60), RunConfig(stride=1), RunConfig(epochs=10)]
    assert not any(config.is_paper_run for config in others)


def test_paper_profile_is_the_papers_twelve_runs():
    runs = profile_runs("paper")
    assert {(run.stride, run.depth) for run in runs} == set(
        zip(AUTHOR_RUNS["stride"], AUTHOR_RUNS["depth"], strict=True)
    )
    assert len(runs) == 12
    assert all(run.is_paper_run for run in runs)


def test_class_profile_is_a_grid_whose_every_model_sees_every_pixel():
    runs = profile_runs("class")
    grid = {(run.n_patches, run.depth) for run in runs}
    patches, depths = ({pair[axis] for pair in grid} for axis in (0, 1))
    assert len(runs) == len(grid) == len(patches) * len(depths) == 9
    assert patches == {4, 9, 25}
    assert all(run.seen_share == 1 and run.n_train >= 1000 for run in runs)
    # Halved as the depth doubles, as the paper does from 50 to 100.
    assert {run.depth * run.learning_rate for run in runs} == {0.04}


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_want_stages_in_their_order_and_a_training_of_every_run(name):
    for config in profile_runs(name):
        wanted = profile_stages(name, config)
        assert wanted == tuple(stage for stage in STAGES if stage in wanted)
        assert wanted[0] == "train"


def test_the_class_profile_shows_every_stage_but_that_of_the_plan():
    wanted = [profile_stages("class", config) for config in profile_runs("class")]
    assert tuple(stage for stage in STAGES if stage != "flatness") in wanted


def test_runs_of_all_profiles_have_ids_of_their_own():
    ids = [run.run_id for name in PROFILES for run in profile_runs(name)]
    assert len(ids) == len(set(ids))


def test_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"unknown profile 'papre'; the profiles are smoke, class, seeds, paper"):
        profile_runs("papre")


@pytest.mark.parametrize("changes", [{"network": "perceptron"}, {"permutation": 0}])
def test_a_younger_field_is_recorded_where_it_is_set_and_makes_another_run(changes):
    plain, other = RunConfig(), RunConfig(**changes)
    assert not set(changes) & set(plain.to_dict())
    assert other.to_dict() == plain.to_dict() | changes
    assert RunConfig.from_dict(other.to_dict()) == other
    assert other.run_id != plain.run_id == "mnist-s6-d050-seed1001"
    ((name, value),) = changes.items()
    assert f"-p {name}={value}" in other.command_options
    assert not other.is_paper_run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "transformer"}, "network is transformer; it must be qnn or perceptron"),
        ({"permutation": -1}, "permutation is -1; it must lie between 0 and 4294967295"),
        ({"permutation": 1.0}, "permutation is 1.0; it must be a whole number"),
    ],
)
def test_a_younger_field_out_of_range_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        RunConfig(**changes)
