"""What the explorers show is what the runs hold; their HTML is sound whatever stands in it."""

import base64
import json
from html.parser import HTMLParser

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from helpers import TINY, store_hessian, store_landscape, store_slices, store_spectrum, store_training

from book.show import plots
from book.site import explorer_pages, explorers
from book.site.twins import draw_confusion, draw_hardest, draw_patch_sheet, draw_run
from qpatch.config import RunConfig
from qpatch.data import Split, load_split
from qpatch.model.predictions import Predictions
from qpatch.model.training import evaluate

LOSSES = [3.0, 1.0, 0.5, 0.75, 0.6]  # the initial point and four epochs, the second of them the best
PAGE_BUDGET = 2_000_000  # bytes that a page may weigh beyond the scripts that pages share


@pytest.fixture
def run(shapes):
    run = store_training(TINY, LOSSES)
    store_hessian(run, [1.0, 2.5])
    store_landscape(run, [-1.0, 0.0, 2.0], [-5.0, 1.0], np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    store_spectrum(run)
    return run


@pytest.fixture
def bare(shapes):
    """A run that has been trained, and nothing else."""
    return store_training(TINY.replace(stride=2), LOSSES)


def data_of(*runs):
    return explorers.explorer_data(runs, explorers.predict_runs(runs), "reports/")


# -- patches --------------------------------------------------------------------------------------------------


def test_every_valid_stride_is_offered_with_its_patches():
    images = torch.zeros(3, 14, 14)
    data = explorers.patch_data(RunConfig(stride=3), Split(images, torch.tensor([4, 4, 7])))
    assert [(s["stride"], len(s["corners"]), s["perSide"]) for s in data["strides"]] == [
        (1, 49, 7), (2, 16, 4), (3, 9, 3), (6, 4, 2),
    ]  # fmt: skip
    assert data["strides"][3]["corners"] == [[0, 0], [0, 6], [6, 0], [6, 6]]  # row-major
    assert data["strides"][2]["color"] == plots.PATCH_COLORS[9]
    assert [digit["label"] for digit in data["digits"]] == [4, 7]
    assert all(sum(s["coverage"]) == 64 * len(s["corners"]) for s in data["strides"])


@pytest.mark.parametrize("n_qubits", [4, 8])
def test_pixels_are_bytes_of_ink(n_qubits):
    config = RunConfig(n_qubits=n_qubits, stride=2, n_classes=8)
    image = torch.tensor([[0.0, 0.5], [0.25, 1.0]]) * 2 * torch.pi / n_qubits
    assert list(base64.b64decode(explorers.pixel_text(image, config))) == [0, 128, 64, 255]


# -- runs -----------------------------------------------------------------------------------------------------


def test_a_run_shows_what_its_folder_holds(run, shapes):
    (only,) = data_of(run)["sets"][0]["runs"]
    assert only["id"] == run.run_id
    assert only["href"] == f"reports/{run.run_id}.html"
    assert ["λ max", "2.50"] in only["numbers"]
    assert only["curves"]["train_loss"] == LOSSES
    assert only["curves"]["best"] == 1
    landscape = only["landscape"]
    units = plots.trajectory_norms(run.landscape())
    assert np.array(landscape["x"]) == pytest.approx(np.array([-1.0, 0.0, 2.0]) / units[0], rel=1e-3)
    assert landscape["loss"] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    assert landscape["best"] == 2
    assert only["spectrum"]["largest"] == [4.0, 1.0]
    assert only["spectrum"]["smallest"] == [-0.5]
    assert sum(only["spectrum"]["counts"]) == pytest.approx(TINY.n_trainable, rel=1e-3)
    assert len(only["spectrum"]["edges"]) == len(only["spectrum"]["counts"]) + 1


def test_answers_are_those_of_the_stored_parameters(run, shapes):
    answers = explorers.predict_runs([run])[run.run_id][1]
    (only,) = data_of(run)["sets"][0]["runs"]
    loss, accuracy = evaluate(run.model(), shapes.test)
    assert answers.losses.mean() == pytest.approx(loss, rel=1e-6)
    assert only["testImages"] == np.sum(only["confusion"]) == 30
    assert np.trace(only["confusion"]) / 30 == pytest.approx(accuracy)
    first = only["hardest"][0]
    assert first["loss"] == pytest.approx(answers.losses.max(), rel=1e-2)
    assert first["label"] == shapes.test.labels[first["number"]]
    assert first["pixels"] == explorers.pixel_text(shapes.test.images[first["number"]], TINY)
    assert len(only["hardest"]) == explorers.HARDEST


def test_files_of_test_images_are_read_once(run, bare, monkeypatch):
    read = []
    monkeypatch.setattr(explorers, "load_split", lambda config, name: read.append(name) or load_split(config, name))
    assert set(explorers.predict_runs([run, bare])) == {run.run_id, bare.run_id}
    assert read == ["test"]


def test_missing_stages_are_named_none(bare):
    (only,) = data_of(bare)["sets"][0]["runs"]
    assert only["landscape"] is None
    assert only["spectrum"] is None
    assert ["λ max", "—"] in only["numbers"]


def test_the_most_complete_run_comes_first(run, bare):
    assert data_of(bare, run)["first"] == run.run_id
    assert explorers.most_complete([bare]) is bare
    store_hessian(bare, [1.0])
    store_landscape(bare, [0.0, 1.0], [0.0, 1.0], np.eye(2))
    store_slices(bare)  # as many stages then as the other run, but the explorer does not show this one
    assert explorers.most_complete([bare, run]) is run


def test_sets_are_told_apart_by_what_differs(shapes):
    other = store_training(TINY.replace(seed=7), LOSSES)
    runs = [store_training(TINY, LOSSES), other, store_training(TINY.replace(n_train=40), LOSSES)]
    assert [group["label"] for group in data_of(*runs)["sets"]] == [
        "Small runs: 4 qubits, 60 images, seed 1001",
        "Small runs: 4 qubits, 60 images, seed 7",
        "Small runs: 4 qubits, 40 images",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.123456, 0.1235), (np.float32(12345.6), 12350.0), (np.nan, None), ([1.0, np.inf], [1.0, None])],
)
def test_numbers_are_short_and_valid_json(value, expected):
    assert explorers.rounded(value) == expected


# -- pages ----------------------------------------------------------------------------------------------------


class _Reader(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.scripts, self.links = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)


def test_the_data_survives_the_page(run):
    data = data_of(run)
    data["sets"][0]["label"] = 'a </script><b onclick="x"> & a <!-- comment'
    page = _Reader(explorer_pages.run_explorer(data))
    assert json.loads(page.scripts[0]) == data
    assert [tag for tag, _ in page.tags] == ["section", "script"]
    assert page.tags[0][1]["data-explorer"] == "runs"
    assert "hidden" in page.tags[0][1]  # until a script takes over


def test_explorers_ask_no_other_host(run):
    split, _ = explorers.predict_runs([run])[run.run_id]
    for page in (
        explorer_pages.run_explorer(data_of(run)),
        explorer_pages.patch_explorer(explorers.patch_data(TINY, split)),
        explorer_pages.runs_table([run], "reports/"),
    ):
        assert "://" not in page
        assert all("src" not in attributes for _, attributes in _Reader(page).tags)


def test_a_hundred_runs_fit_on_a_page(mnist):
    """With the sizes of a paper run: 51 points of the path, a grid of 20 x 20, ten classes."""
    random = np.random.default_rng(0)
    run = store_training(RunConfig(), list(random.uniform(0.01, 3, 51)))
    store_hessian(run, [1.0])
    store_landscape(run, list(random.normal(size=20)), list(random.normal(size=20)), random.uniform(0, 9, (20, 20)))
    store_spectrum(run)
    split = Split(mnist.test.images[:200], mnist.test.labels[:200])
    answers = Predictions(split.labels.numpy(), random.integers(0, 10, 200), random.exponential(size=200), 10)
    data = explorers.explorer_data([run], {run.run_id: (split, answers)}, "reports/")
    assert 5_000 < len(explorer_pages.run_explorer(data)) < PAGE_BUDGET / 100


def test_the_table_links_every_run_and_has_its_values(run, bare):
    html = explorer_pages.runs_table([run, bare], "reports/")
    page = _Reader(html)
    assert page.links == [f"reports/{run.run_id}.html", f"reports/{bare.run_id}.html"]
    cells = [attributes for tag, attributes in page.tags if tag == "td"]
    assert len(cells) == 2 * len(explorer_pages.TABLE_COLUMNS)
    loss = explorer_pages.TABLE_COLUMNS.index("train_loss")
    assert float(cells[loss]["data-value"]) == 0.5
    curvature = explorer_pages.TABLE_COLUMNS.index("lambda_max")
    assert np.isnan(float(cells[len(explorer_pages.TABLE_COLUMNS) + curvature]["data-value"]))
    assert '<td data-value="nan">—</td>' in html


def test_no_runs_make_an_empty_table():
    assert "<tbody></tbody>" in explorer_pages.runs_table([], "reports/")


# -- static twins ---------------------------------------------------------------------------------------------


@pytest.fixture
def figure():
    figure = plt.figure(layout="constrained")
    yield figure
    figure.canvas.draw()  # everything that was drawn can be rendered
    plt.close(figure)


def texts(axes) -> list[str]:
    return [text.get_text() for ax in axes for text in ax.texts]


def test_the_twin_of_a_whole_run_has_no_gaps(figure, run):
    split, answers = explorers.predict_runs([run])[run.run_id]
    draw_run(figure, run, answers, split.images)
    assert not [text for text in texts(figure.axes) if text.endswith("yet")]
    hardest = answers.hardest(1)[0]
    title = f"{answers.labels[hardest]}, said {answers.predicted[hardest]}\nloss {answers.losses[hardest]:.1f}"
    assert title in [ax.get_title() for ax in figure.axes]


def test_the_twin_of_a_bare_run_says_what_is_missing(figure, bare):
    split, answers = explorers.predict_runs([bare])[bare.run_id]
    draw_run(figure, bare, answers, split.images)
    assert {"no landscape yet", "no spectrum yet"} <= set(texts(figure.axes))


def test_the_confusion_matrix_is_written_in(figure):
    matrix = np.array([[5, 1], [0, 7]])
    ax = draw_confusion(figure.subplots(), matrix)
    assert texts([ax]) == ["5", "1", "0", "7"]
    shades = ax.collections[0].get_array()
    assert shades[0, 1] > shades[0, 0] == 0  # only errors are shaded


def test_fewer_images_than_places_leave_places_empty(figure):
    answers = Predictions(np.array([1]), np.array([0]), np.array([2.0]), 2)
    axes = figure.subplots(1, 3)
    draw_hardest(axes, torch.zeros(1, 14, 14), answers)
    assert [bool(ax.images) for ax in axes] == [True, False, False]


def test_the_twin_of_the_patch_explorer_shows_every_patch(figure, shapes):
    config = TINY.replace(stride=2)
    draw_patch_sheet(figure, shapes.test.images[0], config)
    numbers = [ax.get_title(loc="center") for ax in figure.axes]
    assert [number for number in numbers if number.isdigit()] == [str(i) for i in range(1, 10)]
    patch = figure.axes[1 + 8].images[0].get_array()  # the last, at the lower right
    assert np.array_equal(patch, shapes.test.images[0][4:, 4:])
