"""The spectrum stage of a small trained run, against its dense Hessian in double precision."""

import functools

import numpy as np
import pytest
import torch
from helpers import TINY

from qpatch.curvature.loss import LossCurvature
from qpatch.curvature.products import KeptProducts
from qpatch.data import load_dataset
from qpatch.model.flat import qnn_groups
from qpatch.model.qnn import PatchQNN
from qpatch.runs import compute_stage, stored_density, train
from qpatch.runs.problems import run_problems
from qpatch.runs.store import RunFolder

SETTINGS = {"n_images": 0, "k": 4, "steps": 30, "probes": 2, "blocks": 2}


def compute(shapes):
    train(TINY, "cpu", shapes)
    return compute_stage("spectrum", TINY, "cpu", data=shapes, **SETTINGS)


@pytest.fixture
def run(run_of):
    return run_of(TINY, compute)


@pytest.fixture(scope="module")
def dense(computed_once, shapes_root):
    """Hessian and Gauss-Newton part at the best epoch, ``(n, n)`` each."""
    run, split = RunFolder(TINY, computed_once(TINY, compute).parent), load_dataset(TINY, shapes_root / "shapes").train
    curvature = LossCurvature(run.model().double(), split)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    columns = ([product @ unit for unit in units] for product in (curvature.hessian, curvature.gauss_newton))
    return [torch.stack(list(each)).numpy() for each in columns]


def test_everything_stored_is_that_of_the_dense_hessian(run, dense, shapes):
    """The products are single precision, exact to 1e-5; eigenpairs are asked for to a residual of 1e-4."""
    hessian, gauss_newton = dense
    values, vectors = np.linalg.eigh(hessian)
    record, stored = run.record("spectrum"), run.eigenvalues()
    largest, smallest = (stored[stored["end"] == end]["eigenvalue"].to_numpy() for end in ("largest", "smallest"))
    assert largest == pytest.approx(values[::-1][:4], abs=1e-4 * values[-1])
    assert smallest == pytest.approx(values[:1], abs=1e-4 * values[-1])
    assert stored["residual"].max() < 1e-4
    assert (record["lambda_max"], record["lambda_min"]) == (largest[0], smallest[0])
    assert record["power_iteration"] == pytest.approx(values[-1], rel=1e-2)  # it stops at changes of 1e-3
    assert abs(record["trace"] - np.trace(hessian)) < 3 * record["trace_error"] + 1e-4 * abs(np.trace(hessian))
    top = vectors[:, -1]
    assert record["gauss_newton_share"] == pytest.approx(top @ gauss_newton @ top / values[-1], rel=1e-3)
    assert record["gauss_newton_lambda_max"] == pytest.approx(np.linalg.eigvalsh(gauss_newton)[-1], rel=1e-3)
    blocks = qnn_groups(TINY)
    shares = [np.sum(top[part] ** 2) for part in blocks.values()]
    assert list(record["participation"]) == ["QNN 1", "QNN 2", "QNN 3", "QNN 4", "bias"]
    assert list(record["participation"].values()) == pytest.approx(shares, abs=1e-3)
    first, second, *_ = sorted(shares[:-1], reverse=True)
    chosen = [name for name, share in zip(blocks, shares, strict=True) if share in (first, second)]
    assert sorted(record["block_lambda_max"]) == sorted([*chosen, "bias"])
    for name, found in record["block_lambda_max"].items():
        part = blocks[name]
        largest_of_block = np.linalg.eigvalsh(hessian[part, part])[-1]
        assert found == pytest.approx(largest_of_block, abs=1e-2 * abs(values).max())
    within = sum(top[part] @ hessian[part, part] @ top[part] for part in blocks.values()) / values[-1]
    assert record["within_blocks"] == pytest.approx(within, abs=1e-3)
    assert record["images_used"] == len(shapes.train)
    assert run_problems(run) == []


def test_stored_density_has_the_moments_of_the_dense_hessian(run, dense):
    """Within three standard errors by the law of random signs; two probes cannot estimate their own, where one
    eigenvalue is nearly all of the trace."""
    density, values = stored_density(run), np.linalg.eigvalsh(dense[0])
    assert density.size == len(values)
    for power in (1, 2):
        powers = values**power
        error = np.sqrt(2 * powers.var() / (density.size * SETTINGS["probes"]))
        assert abs(density.moment(power).value - powers.mean()) < 3 * error


def test_overlap_is_that_of_the_label_gradients(run, dense, shapes):
    curvature = LossCurvature(run.model().double(), shapes.train)
    basis = np.linalg.eigh(dense[0])[1][:, -4:]
    span = np.linalg.qr(curvature.label_gradients().numpy().T)[0]
    assert run.record("spectrum")["logit_overlap"] == pytest.approx(np.sum((basis.T @ span) ** 2) / 3, abs=1e-2)


def test_label_gradients_are_those_of_the_mean_logits(shapes):
    model = PatchQNN(TINY).double()
    split = shapes.train.to(model.bias)
    for label, ours in enumerate(LossCurvature(model, split, chunk=7).label_gradients()):
        mean = model(split.images[split.labels == label])[:, label].mean()
        parts = torch.autograd.grad(mean, (model.angles, model.bias))
        assert torch.allclose(ours, torch.cat([part.flatten() for part in parts]), rtol=0, atol=1e-10)


def test_it_says_what_it_will_cost_before_it_begins(run, capsys, shapes, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("qpatch.curvature.extreme_eigenpairs", stopped)
    with pytest.raises(KeyboardInterrupt):
        compute_stage("spectrum", TINY, "cpu", data=shapes, replace=True, **SETTINGS)
    assert "60 images: some 208 Hessian-vector products of" in capsys.readouterr().out


def test_settings_are_recorded(run):
    assert run.record("spectrum")["parameters"] == SETTINGS | {"residual": 1e-4, "start_seed": 0}
    assert run.state("spectrum", SETTINGS | {"residual": 1e-4, "start_seed": 0}) == "done"


def test_a_spectrum_killed_three_times_goes_on_after_its_last_product(run, shapes, monkeypatch):
    """To the last bit what it would have been, and no product that was finished is computed again."""
    monkeypatch.setattr("qpatch.curvature.KeptProducts", functools.partial(KeptProducts, least_seconds=0))
    monkeypatch.setattr("qpatch.runs.stages.spectrum._announce", lambda curvature, products: None)
    product, computed = LossCurvature._hessian_product, []

    def counted(curvature, vector, limit):
        if len(computed) == limit:
            raise KeyboardInterrupt
        computed.append(vector)
        return product(curvature, vector)

    def products_of_a_call(limit=None):
        computed.clear()
        monkeypatch.setattr(LossCurvature, "_hessian_product", functools.partialmethod(counted, limit=limit))
        compute_stage("spectrum", TINY, "cpu", data=shapes, replace=True, **SETTINGS)
        return len(computed)

    whole = products_of_a_call()
    contents = [run.file(name).read_bytes() for name in ("eigenvalues.csv", "density.csv")]
    record = run.record("spectrum")
    for more in (1, 59, 110):
        with pytest.raises(KeyboardInterrupt):
            products_of_a_call(more)
    assert products_of_a_call() == whole - 170
    assert [run.file(name).read_bytes() for name in ("eigenvalues.csv", "density.csv")] == contents
    differing = {key for key in record if record[key] != run.record("spectrum")[key]}
    assert differing <= {"seconds", "finished"}
    assert not (run.cache / "progress-spectrum").exists()
