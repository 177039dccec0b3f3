"""The plan's runs: as many as it says, of seeds that no other profile has, and each control with its partner."""

import pytest

from qpatch.runs import plan
from qpatch.runs.profiles import FURTHER_SEEDS, profile_runs, profile_stages


def test_fresh_seeds_as_many_as_the_plan_says():
    runs = plan.confirmatory_runs()
    assert len(runs) == len(set(runs)) == 4 * 12 + 3 * 8
    assert not {run.seed for run in runs} & {1001, *FURTHER_SEEDS}
    assert {(run.epochs, run.n_train, run.scale) for run in runs} == {(16, 60_000, 100.0)}


def test_each_control_has_its_partner_of_the_same_seed():
    plain = set(plan.confirmatory_runs())
    runs = plan.control_runs()
    assert len(runs) == len(set(runs)) == 66
    assert not set(runs) & plain
    for run in runs:
        partner = plan.RunConfig(stride=run.stride, depth=run.depth, seed=run.seed, epochs=run.epochs)
        assert partner in plain


@pytest.mark.parametrize(("name", "power"), [("averaging", 2), ("gain", 1)])
def test_the_scale_holds_its_factor(name, power):
    control = next(each for each in plan.CONTROLS if each.name == name)
    assert {run.scale**power / run.n_patches for run in plan.control_runs(control)} == {100**power / 4}
    wanted = {"averaging": {9: 150, 16: 200}, "gain": {9: 225, 16: 400}}[name]  # as the question was put
    assert {run.n_patches: run.scale for run in plan.control_runs(control)} == wanted


def test_decay_times_patches_is_that_of_four():
    control = next(each for each in plan.CONTROLS if each.name == "decay")
    for run in plan.control_runs(control):
        assert run.weight_decay * run.n_patches == pytest.approx(5e-5 * 4)


def test_runs_of_fewer_classes_have_their_spectrum_and_the_others_their_flatness():
    for run in profile_runs("causes"):
        last = profile_stages("causes", run)[-1]
        assert last == ("spectrum" if run.n_train < 60_000 else "flatness")
