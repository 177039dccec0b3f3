"""The engine of "Train one here" computes in the browser what the package computes in float64."""

import json

import numpy as np
import pytest
from test_site import SITE

from book.site import lab_speed

LAB = SITE / "_static" / "lab"
REFERENCES = json.loads((LAB / "reference.json").read_text())
# Relative to the largest number of an array. Rounding leaves some 1e-14 of it, and Adam, which divides by gradients,
# little more: what is another computation is off by far more.
AGREEMENT = 1e-9
COMPUTE = """reference => {
  const physics = patchPhysics(), training = patchTraining(), curvature = patchCurvature();
  const model = physics.makeModel(reference.model), images = Float64Array.from(reference.images);
  const [point, direction] = [reference.point, reference.direction].map(values => Float64Array.from(values));
  const { labels, rate, batches } = reference;
  const there = physics.differentiate(model, point, images, labels, direction);
  const product = vector => physics.differentiate(model, point, images, labels, vector).product;
  let spectrum;
  for (spectrum of curvature.lanczos(product, direction, 80))
    if (spectrum.residuals[0] < 1e-9 * spectrum.values[0]) break;

  const theta = training.initialParameters(model, reference.seed), adam = training.makeAdam(model.size);
  const initial = Array.from(theta), losses = [physics.evaluate(model, theta, images, labels).loss];
  batches.forEach((epoch, number) => {
    for (const batch of epoch) {
      const chosen = Float64Array.from(batch.flatMap(i => [...images.subarray(64 * i, 64 * i + 64)]));
      const { gradient } = physics.differentiate(model, theta, chosen, batch.map(i => labels[i]));
      adam(theta, gradient, training.annealed(rate, number));
    }
    losses.push(physics.evaluate(model, theta, images, labels).loss);
  });
  const plain = { loss: there.loss, eigenvalue: spectrum.values[0], initial, losses, trained: Array.from(theta) };
  const arrays = ["logits", "gradient", "product"].map(name => [name, Array.from(there[name])]);
  return { ...plain, ...Object.fromEntries(arrays) };
}"""


@pytest.fixture(scope="module")
def engine(browser):
    """A page that holds the engine alone."""
    page = browser.new_page()
    for name in ("physics", "training", "curvature"):
        page.add_script_tag(path=LAB / f"{name}.js")
    yield page
    page.close()


@pytest.fixture(scope="module")
def computed(engine):
    return [engine.evaluate(COMPUTE, reference) for reference in REFERENCES]


@pytest.mark.parametrize(
    "quantity", ["initial", "logits", "loss", "gradient", "product", "eigenvalue", "losses", "trained"]
)
@pytest.mark.parametrize("number", range(len(REFERENCES)), ids=[str(r["model"]["stride"]) for r in REFERENCES])
def test_the_browser_agrees_with_the_package(computed, number, quantity):
    ours, expected = np.array(computed[number][quantity]), np.array(REFERENCES[number][quantity])
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= AGREEMENT * np.abs(expected).max()


def test_the_references_have_every_number_of_patches():
    assert [reference["model"]["stride"] for reference in REFERENCES] == [4, 2, 1]
    assert all(len(reference["batches"]) == 2 for reference in REFERENCES)  # so that the rate has changed once
    assert all(sum(map(len, reference["batches"])) == 10 for reference in REFERENCES)


EXPECTED_TRACE = """() => {
  const { hutchinson, lanczos, principalPlane, signs } = patchCurvature(), draw = patchTraining().twister(7);
  const values = [5, 1, 0.5, -2], product = vector => vector.map((value, i) => values[i] * value);
  const exact = [...hutchinson(product, 4, draw, 20)].at(-1);
  const ends = [...lanczos(product, signs(4, draw), 10)];
  const flat = [[0, 0, 1], [4, 0, 1], [0, 2, 1], [4, 2, 1]].map(point => Float64Array.from(point));
  const plane = principalPlane(flat);
  return { exact, products: ends.length, ends: ends.at(-1).values, vector: Array.from(ends.at(-1).vector(0)),
           shares: plane.shares, axes: plane.axes.map(axis => Array.from(axis).map(Math.abs)),
           none: principalPlane(flat.slice(0, 2)) };
}"""


def test_spectra_of_a_known_matrix(engine):
    """Of a diagonal matrix every probe of signs gives the trace itself, and four products exhaust the space."""
    found = engine.evaluate(EXPECTED_TRACE)
    assert found["exact"] == {"products": 20, "value": pytest.approx(4.5), "error": pytest.approx(0, abs=1e-12)}
    assert found["products"] == 4
    assert found["ends"] == pytest.approx([5, 1, 0.5, -2])
    assert np.abs(found["vector"]) == pytest.approx([1, 0, 0, 0], abs=1e-9)


def test_the_principal_plane_of_a_rectangle(engine):
    found = engine.evaluate(EXPECTED_TRACE)
    assert found["shares"] == pytest.approx([0.8, 0.2])  # sides of 4 and 2
    assert found["axes"] == [pytest.approx([1, 0, 0], abs=1e-9), pytest.approx([0, 1, 0], abs=1e-9)]
    assert found["none"] is None  # two points span no plane


def test_speed_is_measured_for_every_number_of_patches(browser):
    found = lab_speed.measure(browser, milliseconds=1)
    assert list(found) == [4, 9, 25]
    assert all(rate > 0 for rates in found.values() for rate in rates)
