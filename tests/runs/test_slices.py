"""The slices stage of a small trained run: losses, shares and barriers against the model in double precision."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import TINY, store_training
from safetensors.torch import load_file

from book.show import tables
from book.show.landscapes import draw_slices
from book.show.spectra import draw_along
from qpatch.curvature.loss import LossCurvature
from qpatch.data import load_dataset
from qpatch.landscape.grid import evaluate_grid
from qpatch.landscape.planes import random_plane
from qpatch.model.flat import flat_parameters, loss_at
from qpatch.runs import compute_stage, line_between, stored_profiles, stored_slices, train
from qpatch.runs.problems import run_problems
from qpatch.runs.stages import slices as slices_stage
from qpatch.runs.store import RunFolder

LONG = TINY.replace(epochs=8, learning_rate=3e-3)  # slowly, past an epoch of zero rate, 5
LOSS = {"abs": 1e-4}  # logits of up to 100, single precision: exact to 1e-5 each
SETTINGS = {"n_images": 0, "n_points": 4, "residual": 1e-6, "start_seed": 3}


def compute(shapes):
    train(LONG, "cpu", shapes)
    return compute_stage("slices", LONG, "cpu", data=shapes, **SETTINGS)


@pytest.fixture
def run(run_of):
    return run_of(LONG, compute)


@pytest.fixture(scope="module")
def exact(computed_once, shapes_root):
    """The model at the best epoch in double precision, its flat parameters, its loss, its dense Hessian."""
    run = RunFolder(LONG, computed_once(LONG, compute).parent)
    model, split = run.model().double(), load_dataset(LONG, shapes_root / "shapes").train
    curvature = LossCurvature(model, split)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    hessian = torch.stack([curvature.hessian @ unit for unit in units]).numpy()
    return flat_parameters(model), loss_at(model, split), hessian


def test_the_run_passes_its_check_and_knows_its_settings(run):
    assert run_problems(run) == []
    assert run.state("slices", SETTINGS) == "done"
    assert not list(run.cache.glob("rows*"))


def test_planes_go_through_the_minimum_and_are_as_wide_as_the_path(run):
    stored = stored_slices(run)
    assert [each.name for each in stored] == ["principal", "random", "random, by QNN", "two top eigenvectors"]
    best = run.record("train")["best_epoch"] + 1
    for each in stored:
        assert each.loss.shape == (4, 4)
        assert np.array_equal(each.x, stored[0].x)
        assert np.array_equal(each.x, each.y)
        assert each.trajectory[best] == pytest.approx(np.zeros(2), abs=1e-5)  # float32 angles
    assert stored[0].x[-1] == pytest.approx(1.1 * np.abs(stored[0].trajectory).max())


def test_losses_on_the_random_plane_are_those_of_the_model(run, exact):
    minimum, loss, _ = exact
    plane, stored = random_plane(minimum, SETTINGS["start_seed"]), stored_slices(run)[1]
    expected = [[loss(plane.point(x, y)) for x in stored.x] for y in stored.y]
    assert stored.loss == pytest.approx(np.array(expected), **LOSS)


def test_the_top_plane_holds_the_two_largest_eigenvalues_and_no_plane_holds_more(run, exact):
    values = np.linalg.eigvalsh(exact[2])
    planes = run.record("slices")["planes"]
    assert np.linalg.eigvalsh(planes["two top eigenvectors"]["hessian"])[::-1] == pytest.approx(
        values[:-3:-1], rel=1e-3
    )
    most = np.sort(np.abs(values))[-2:].sum()
    for each in stored_slices(run):
        held = np.linalg.eigvalsh(planes[each.name]["hessian"])
        assert each.of_most == pytest.approx(np.abs(held).sum() / most, rel=1e-3)
        assert abs(each.of_trace - held.sum() / np.trace(exact[2])) < 4 * each.of_trace_error
        assert 0 < each.of_most <= 1


def test_principal_plane_holds_the_most_of_the_path(run):
    principal, *others = (each.ratios.sum() for each in stored_slices(run))
    assert principal > max(others)


def test_lines_lead_from_the_start_and_the_epochs_that_stood_still(run, exact):
    best, history = run.record("train")["best_epoch"], run.history().set_index("epoch")
    assert history.index[history["learning_rate"] == 0].tolist() == [-1, 5]
    profiles = stored_profiles(run)
    assert [each.name for each in profiles] == [f"epoch {epoch} to {best}" for epoch in (-1, 5) if epoch < best]
    path = run.trajectory().astype(np.float64)
    for each, start in zip(profiles, (-1, 5), strict=False):
        assert each.length == pytest.approx(np.linalg.norm(path[best + 1] - path[start + 1]))
        assert each.loss[np.flatnonzero(each.t == 1)[0]] == pytest.approx(exact[1](exact[0]), **LOSS)
        assert run.record("slices")["lines"][each.name]["barrier"] == each.barrier


def test_table_and_figures_show_what_is_stored(run):
    record, stored = run.record("slices"), stored_slices(run)
    html = tables.slices([run]).to_html()
    assert "Patches" in html
    assert "Qubits" not in html  # all rows share it
    assert tables.significant(100 * stored[0].ratios.sum()) in html
    assert tables.significant(max(line["barrier"] for line in record["lines"].values()), 2) in html
    figure = draw_slices(plt.figure(), run)
    titles = [ax.get_title() for ax in figure.axes]
    assert [title.split("\n")[0] for title in titles] == [each.name for each in stored]
    assert all(
        f"{tables.significant(100 * each.of_most, 2)} % of the curvature" in title
        for each, title in zip(stored, titles, strict=True)
    )
    whole, part = draw_along(plt.figure().subplots(), run).get_lines()
    along = record["along"]
    assert whole.get_ydata() == pytest.approx([each["lambda_max"] for each in along])
    assert part.get_ydata() == pytest.approx([each["lambda_max"] * each["gauss_newton_share"] for each in along])
    plt.close("all")


def test_a_killed_stage_goes_on_after_its_last_row(run, shapes, monkeypatch):
    before, calls = run.table("planes.csv"), []

    def killed(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate_grid(*arguments, **options)

    monkeypatch.setattr("qpatch.landscape.evaluate_grid", killed)
    with pytest.raises(KeyboardInterrupt):
        compute_stage("slices", LONG, "cpu", data=shapes, replace=True, **SETTINGS)
    kept = load_file(run.cache / "progress-slices" / "rows-0.safetensors")["rows"]
    assert kept.numpy() == pytest.approx(before["loss"].to_numpy()[:16].reshape(4, 4), **LOSS)
    monkeypatch.setattr("qpatch.landscape.evaluate_grid", evaluate_grid)
    compute_stage("slices", LONG, "cpu", data=shapes, replace=True, **SETTINGS)
    assert run.table("planes.csv").equals(before)


def test_a_stage_killed_on_fewer_images_begins_its_grids_anew(run, shapes, monkeypatch):
    """The random planes are the same whatever the images."""

    def killed(*arguments, **options):
        slices_made.append(evaluate_grid(*arguments, **options))
        if len(slices_made) == 2:
            raise KeyboardInterrupt
        return slices_made[-1]

    slices_made = []
    monkeypatch.setattr("qpatch.landscape.evaluate_grid", killed)
    with pytest.raises(KeyboardInterrupt):
        compute_stage("slices", LONG, "cpu", data=shapes, replace=True, **SETTINGS | {"n_images": 9})
    monkeypatch.setattr("qpatch.landscape.evaluate_grid", evaluate_grid)
    compute_stage("slices", LONG, "cpu", data=shapes, replace=True, **SETTINGS | {"n_images": 0})
    resumed = run.table("planes.csv")
    compute_stage("slices", LONG, "cpu", data=shapes, replace=True, **SETTINGS | {"n_images": 0})
    assert run.table("planes.csv").equals(resumed)


def test_a_line_joins_the_best_parameters_of_two_seeds_and_no_models_of_different_shape(shapes):
    first, second, deeper = (
        train(TINY.replace(epochs=2, **changes), "cpu", shapes)
        for changes in ({}, {"seed": 7}, {"depth": TINY.depth + 1})
    )
    line = line_between(first, second)
    for run, end in ((first, line.start), (second, line.end)):
        stored = run.best_parameters()
        assert np.array_equal(end, torch.cat([stored["angles"].flatten(), stored["bias"].flatten()]).double().numpy())
    with pytest.raises(ValueError, match="no line joins them"):
        line_between(first, deeper)


def test_curvature_along_the_path_is_that_of_the_dense_hessian(run, exact, shapes):
    """At the start and at the end, where the path's bias is the model's own."""
    along = {each["epoch"]: each for each in run.record("slices")["along"]}
    best = run.record("train")["best_epoch"]
    assert list(along) == [epoch for epoch in (-1, 5) if epoch < best] + [best]
    assert along[best]["lambda_max"] == pytest.approx(np.linalg.eigvalsh(exact[2])[-1], rel=1e-3)
    model = run.model().double()
    with torch.no_grad():
        model.angles.copy_(torch.from_numpy(run.trajectory()[0]).view_as(model.angles))
    curvature = LossCurvature(model, shapes.train)
    units = torch.eye(len(curvature.point), dtype=torch.float64)
    hessian, gauss_newton = (
        torch.stack([product @ unit for unit in units]).numpy()
        for product in (curvature.hessian, curvature.gauss_newton)
    )
    values, vectors = np.linalg.eigh(hessian)
    assert along[-1]["lambda_max"] == pytest.approx(values[-1], rel=1e-3)
    share = vectors[:, -1] @ gauss_newton @ vectors[:, -1] / values[-1]
    assert along[-1]["gauss_newton_share"] == pytest.approx(share, abs=1e-2)


def test_a_start_that_was_never_bettered_gets_a_line_all_the_same():
    assert slices_stage._spots(store_training(TINY, losses=[1.0, 2.0, 3.0])) == [-1, 1]
