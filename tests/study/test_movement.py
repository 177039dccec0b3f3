"""How far angles move from their start, against a run whose angles are known."""

import numpy as np
import pytest
import torch
from helpers import TINY, store_training

from qpatch.model.qnn import initial_angles
from qpatch.study.measures import movement


def test_distances_are_those_from_the_seeds_own_start():
    run = store_training(TINY, [2.0, 1.0, 1.5, 1.5, 1.5])
    start, shift = initial_angles(TINY), torch.tensor([0.0, 3.0, 4.0, 12.0])[:, None]
    unit = torch.ones(TINY.n_angles_per_qnn) / TINY.n_angles_per_qnn**0.5
    run.write_tensors("best.safetensors", run.best_parameters() | {"angles": start + shift * unit})
    (row,) = movement([run]).to_dict("records")
    # Angles of single precision near pi are rounded by 1e-7 each.
    assert row["per_qnn"] == pytest.approx((3 + 4 + 12) / 4, rel=1e-5)
    assert row["in_all"] == pytest.approx(13.0, rel=1e-5)
    assert row["per_angle"] == pytest.approx(13 / TINY.n_angles**0.5, rel=1e-5)
    assert row["norm"] == pytest.approx(np.linalg.norm(start + shift * unit) / np.linalg.norm(start), rel=1e-5)
    assert (row["n_patches"], row["depth"], row["seed"]) == (4, TINY.depth, TINY.seed)
