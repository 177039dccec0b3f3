"""What the page "Train one here" gets from the package."""

import base64
import json

import matplotlib

matplotlib.use("Agg")


import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from book.site import explorer_pages, lab
from qpatch.config import RunConfig
from qpatch.data import load_split

FILE_BUDGET = 200_000  # bytes of the digits' file


def test_digits_are_what_the_package_makes_of_them():
    """The same pixels as a run's, which are float32."""
    split = load_split(RunConfig(n_qubits=4, image_size=8, stride=4, n_classes=8, n_test=500), "test")
    ink = lab.ink("test")
    assert ink.shape == (10, lab.PER_DIGIT["test"], 8, 8)
    for digit in (0, 3, 7):
        theirs = split.images[split.labels == digit][: len(ink[digit])].numpy()
        assert ink[digit] * lab.RADIANS == pytest.approx(theirs, rel=1e-6, abs=1e-7)


def test_the_digits_file_is_small_and_complete():
    script = lab.digits_script()
    assert len(script) <= FILE_BUDGET
    data = json.loads(script.removeprefix("window.qpatchDigits = ").rstrip(";\n"))
    for name, count in data["perDigit"].items():
        pixels = np.frombuffer(base64.b64decode(data[name]), "<u2").reshape(10, count, 8, 8)
        assert np.array_equal(pixels, lab.ink(name))
        assert 0 < pixels.max() * data["radians"] <= np.pi / 2


def test_images_for_the_reference_are_balanced_and_in_float64():
    split = lab.split_of("train", 3, 4)
    assert split.images.shape == (12, 8, 8)
    assert split.images.dtype == torch.float64
    assert split.labels.bincount().tolist() == [4, 4, 4]


def test_a_reference_is_of_its_model():
    found = lab.reference(stride=4, depth=1, digits=2, scale=10.0)
    assert len(found["point"]) == len(found["gradient"]) == len(found["trained"]) == 4 * 56 + 64
    assert len(found["logits"]) == 2 * len(found["labels"])
    assert found["losses"][-1] < found["losses"][0]
    assert found["eigenvalue"] >= np.dot(found["direction"], found["product"]) / np.dot(
        found["direction"], found["direction"]
    )


def test_files_go_to_the_static_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lab, "REFERENCES", ((4, 1, 2, 10.0),))
    lab.write_lab(tmp_path)
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == ["digits.js", "reference.json"]
    (only,) = json.loads((tmp_path / "lab" / "reference.json").read_text())
    assert only["model"] == {"stride": 4, "depth": 1, "classes": 2, "scale": 10.0}


def test_the_twin_shows_what_was_trained():
    found = lab.examples(epochs=1)
    assert [example.config.n_patches for example in found] == [4, 25]
    assert all(example.history[-1].train_loss < example.history[0].train_loss for example in found)
    table = lab.examples_table(found)
    assert table["training loss"].astype(float).tolist() == [
        pytest.approx(example.history[-1].train_loss, abs=6e-4) for example in found
    ]
    assert (table["largest eigenvalue"].astype(float) > 0).all()
    figure = lab.draw_examples(plt.figure(), found)
    assert [len(ax.lines) for ax in figure.axes] == [4, 4]
    assert figure.axes[0].lines[0].get_ydata()[0] == found[0].history[0].train_loss
    plt.close(figure)


@pytest.mark.parametrize(("state", "form"), [(None, "whole"), ({"change": "depth", "to": 8}, "small")])
def test_the_page_has_its_form_and_colours(state, form):
    page = explorer_pages.laboratory(state)
    data = json.loads(page.split('"application/json">')[1].split("</script>")[0])
    assert data["form"] == form
    assert data.get("state") == state
    assert set(data["colors"]["patches"]) >= {"4", "9", "25"}
    assert page.startswith('<section class="qpatch-explorer" data-explorer="lab"')
