"""The time a study will take: laws that are known are recovered, stages are made of their operations."""

import pytest
import torch
from helpers import TINY

from qpatch.config import RunConfig
from qpatch.runs import costs
from qpatch.runs.costs import Cost, duration, fit_cost, stage_seconds
from qpatch.runs.stages import slices
from qpatch.runs.stages.hessian import POWER_PRODUCTS
from qpatch.runs.stages.spectrum import expected_products

COSTS = {"step": Cost(0.0, 0.0, 0.001), "evaluation": Cost(0.0, 0.0, 1e-5), "product": Cost(1.0, 0.0, 0.0)}


def test_a_linear_law_is_recovered():
    cost = fit_cost(lambda depth, images: 0.3 + 4 * (0.02 * depth + 0.001 * images), 4, (100, 600))
    assert (cost.fixed, cost.by_depth, cost.by_image) == pytest.approx((0.3, 0.02, 0.001))
    config = RunConfig(stride=3, depth=100)
    assert cost.seconds(config, 1000) == pytest.approx(0.3 + 9 * (0.02 * 100 + 0.001 * 1000))


def test_a_noisy_measurement_gives_no_negative_cost():
    cost = fit_cost(lambda depth, images: 1.0 if images == 100 and depth == costs.DEPTHS[0] else 0.5, 4, (100, 600))
    assert (cost.fixed, cost.by_depth, cost.by_image) == (1.0, 0.0, 0.0)


def test_stages_are_made_of_their_operations():
    config, start = RunConfig(), costs.NOTEBOOK_SECONDS
    step, whole, test = 4 * 0.001 * 1000, 4 * 1e-5 * 60_000, 4 * 1e-5 * 10_000
    assert stage_seconds(config, "train", {}, COSTS) == pytest.approx(start + 50 * (60 * step + whole + test))
    assert stage_seconds(config, "hessian", {}, COSTS) == pytest.approx(start + POWER_PRODUCTS)
    tenth = POWER_PRODUCTS * COSTS["product"].seconds(config, 6000)
    assert stage_seconds(config, "hessian", {"subset": 6000}, COSTS) == pytest.approx(start + tenth)
    assert stage_seconds(config, "landscape", {}, COSTS) == pytest.approx(start + 400 * whole)
    assert stage_seconds(config, "landscape", {"n_points": 2}, COSTS) == pytest.approx(start + 4 * whole)
    products = expected_products(config, k=3, steps=20, probes=2, blocks=4)
    few = {"steps": 20, "probes": 2, "k": 3}
    assert stage_seconds(config, "spectrum", few, COSTS) == pytest.approx(start + products)
    planes = 4 * 9 * 4 * 1e-5 * 6000
    expected = start + planes + slices.PRODUCTS
    assert stage_seconds(config, "slices", {"n_points": 3}, COSTS) == pytest.approx(expected)


def test_this_machine_is_measured_and_more_work_takes_longer():
    before = torch.get_num_threads()
    larger = TINY.replace(n_train=6000, batch_size=200)
    pending = [(TINY, "train"), (TINY, "hessian"), (larger, "train")]
    seconds = costs.estimate(pending, {}, 1, torch.device("cpu"))
    assert set(seconds) == {(TINY.run_id, "train"), (TINY.run_id, "hessian"), (larger.run_id, "train")}
    assert seconds[(larger.run_id, "train")] > seconds[(TINY.run_id, "train")] > costs.NOTEBOOK_SECONDS
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (42.4, "42 s"), (600, "10 min"), (7200, "2 h"), (9000, "2 h 30 min"), (184_000, "51 h 10 min")],
)
def test_durations_in_words(seconds, text):
    assert duration(seconds) == text
