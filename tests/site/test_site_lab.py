"""The page "Train one here" of the built book: it trains, pauses, measures, by keyboard too, as its address says."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect
from test_site import SITE

from book.site.browser import serve

PAGE = "book/lab.html"
PATIENCE = 120_000  # milliseconds for what takes seconds: the tests' machine may be busy
SMALL = "digits=01&depth=1&batch=60&seed=3"  # an epoch is one step


@pytest.fixture(scope="module")
def address():
    with serve(SITE) as address:
        yield f"{address}/{PAGE}"


@pytest.fixture
def lab(open_page, address):
    """A function from settings, as the address has them, to the page, once its models are there."""

    def lab(settings: str = SMALL, **options):
        page = open_page(f"{address}#{settings}", **options)
        expect(numbers(page).first).to_contain_text("training loss", timeout=PATIENCE)
        return page

    return lab


def numbers(page):
    return page.locator(".ql-numbers p")


def settings(page) -> dict:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).fragment).items()}


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def said(page):
    return page.locator(".qx-summary")


def choose(page, name: str):
    return page.get_by_role("combobox", name=name, exact=True)


def loss(page, model: int = 0) -> float:
    return float(re.search(r"training loss ([\d.]+)", numbers(page).nth(model).text_content())[1])


# -- training ---------------------------------------------------------------------------------------------------


def test_it_learns_until_it_is_to_stop(lab):
    page = lab(f"{SMALL}&stop=15")
    before = loss(page)
    button(page, "Run").click()
    expect(said(page)).to_contain_text("A stands at step 15", timeout=PATIENCE)
    assert loss(page) < before
    assert settings(page)["step"] == "15"
    expect(page.get_by_role("img", name=re.compile(r"^Loss: training \d"))).to_be_visible()
    expect(page.get_by_role("img", name="path of 16 points")).to_be_visible()  # the initial point counts


def test_it_pauses_and_goes_on(lab):
    page = lab(f"{SMALL}&patches=25&depth=8&stop=50")
    button(page, "Run").click()
    expect(numbers(page)).not_to_contain_text("step 0,", timeout=PATIENCE)
    button(page, "Pause").click()
    expect(said(page)).to_contain_text("A stands at step", timeout=PATIENCE)
    paused = int(settings(page)["step"])
    assert paused < 50
    button(page, "Step").click()
    expect(numbers(page)).to_contain_text(f"step {paused + 1},", timeout=PATIENCE)
    button(page, "Reset").click()
    expect(numbers(page)).to_contain_text("step 0,", timeout=PATIENCE)
    assert "step" not in settings(page)


def test_a_link_leads_to_the_same_numbers(lab):
    """Whether a reader gets there by single steps or by the address alone, in the middle of an epoch."""
    chosen = "digits=038&depth=1&batch=20&seed=77&change=patches&to=9"
    page = lab(chosen)
    for step in range(1, 5):
        button(page, "Step").click()
        for model in range(2):
            expect(numbers(page).nth(model)).to_contain_text(f"step {step},", timeout=PATIENCE)
    expected = numbers(page).all_text_contents()
    again = lab(urlsplit(page.url).fragment)
    expect(numbers(again)).to_have_text(expected, timeout=PATIENCE)
    assert settings(again) == settings(page)
    assert {"digits": "038", "seed": "77", "change": "patches", "to": "9", "step": "4"}.items() <= settings(
        page
    ).items()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("digits=0123456789", {"digits": "0123"}),
        ("digits=5", {"digits": "0123"}),
        ("patches=16&depth=x&rate=-1", {"patches": "4", "depth": "2", "rate": "0.01"}),
        ("seed=1e9&change=scale&to=100", {"seed": "1"}),
        ("change=nothing&to=3", {"seed": "1"}),
    ],
)
def test_an_address_that_makes_no_sense_is_as_the_beginning(lab, wrong, expected):
    page = lab(wrong)
    button(page, "Step").click()
    expect(numbers(page)).to_contain_text("step 1,", timeout=PATIENCE)
    assert expected.items() <= settings(page).items()
    assert "change" not in settings(page)


def test_models_side_by_side_are_never_an_epoch_apart(lab):
    """The second is several times slower."""
    page = lab(f"{SMALL}&change=patches&to=25&stop=5")
    page.evaluate("""() => {
      const box = document.querySelector(".ql-numbers");
      const apart = () => [...box.children].map(line => Number(/epoch (\\d+)/.exec(line.textContent)[1]));
      window.largest = 0;
      new MutationObserver(() => {
        const [a, b] = apart();
        if (b !== undefined) window.largest = Math.max(window.largest, Math.abs(a - b));
      }).observe(box, { childList: true });
    }""")
    button(page, "Run").click()
    expect(said(page)).to_contain_text("B stands at step 5", timeout=PATIENCE)
    assert page.evaluate("largest") == 1


def test_the_page_answers_while_it_trains(lab):
    """The longest time between two frames, while both models train: work of a second would show."""
    page = lab("patches=25&depth=8&change=depth&to=12&stop=50")
    button(page, "Run").click()
    longest = page.evaluate("""() => new Promise(done => {
      const began = performance.now();
      let last = began, longest = 0;
      requestAnimationFrame(function frame(now) {
        longest = Math.max(longest, now - last);
        last = now;
        if (now - began > 3000) done(longest); else requestAnimationFrame(frame);
      });
    })""")
    assert longest < 1000
    expect(button(page, "Pause")).to_be_visible()


# -- choices ----------------------------------------------------------------------------------------------------


def test_choices_are_made_with_the_keyboard(lab):
    page = lab()
    choose(page, "Patches").focus()
    page.keyboard.press("ArrowDown")
    assert settings(page)["patches"] == "9"
    expect(page.get_by_role("button", name=re.compile("^Patch [0-9]+ votes for"))).to_have_count(9, timeout=PATIENCE)
    page.get_by_role("spinbutton", name="Seed").fill("12345")
    page.keyboard.press("Enter")
    assert settings(page)["seed"] == "12345"
    page.get_by_role("checkbox", name="7").focus()
    page.keyboard.press("Space")
    assert settings(page)["digits"] == "017"
    button(page, "Step").focus()
    page.keyboard.press("Enter")
    expect(numbers(page)).to_contain_text("step 1,", timeout=PATIENCE)


def test_one_digit_is_too_few(lab):
    page = lab()
    page.get_by_role("checkbox", name="1", exact=True).click()
    expect(said(page)).to_have_text("Choose two to eight digits.")
    assert page.get_by_role("checkbox", name="1", exact=True).is_checked()


def test_a_second_model_differs_in_one_thing(lab):
    page = lab()
    choose(page, "Second model: what differs").select_option("Scale")
    choose(page, "Its value").select_option("250")
    expect(numbers(page)).to_have_count(2, timeout=PATIENCE)
    expect(page.get_by_text("Model B: scale 250").first).to_be_visible()
    assert {"change": "scale", "to": "250", "scale": "100"}.items() <= settings(page).items()
    choose(page, "Second model: what differs").select_option("nothing")
    expect(numbers(page)).to_have_count(1, timeout=PATIENCE)


def test_every_part_of_the_story_is_one_click(lab):
    page = lab()
    parts = page.get_by_role("group", name="The paper's story in five clicks").get_by_role("button")
    expect(parts).to_have_count(5)
    for number, part in enumerate(parts.all()):
        part.press("Enter")
        expect(part).to_have_attribute("aria-pressed", "true")
        expect(page.locator(".ql-look")).to_contain_text("Run")
        expect(numbers(page)).to_have_count(2 if number else 1, timeout=PATIENCE)
    choose(page, "Depth").select_option("4")  # which is no part of it
    expect(page.locator("[aria-pressed=true]")).to_have_count(0)


# -- what is seen -----------------------------------------------------------------------------------------------


def test_arrow_keys_go_from_vote_to_vote(lab):
    page = lab(f"{SMALL}&patches=9")
    votes = page.get_by_role("button", name=re.compile("^Patch [0-9]+ votes for"))
    expect(votes).to_have_count(9, timeout=PATIENCE)
    votes.first.focus()
    for key, number in (("ArrowRight", 2), ("ArrowDown", 5), ("End", 9), ("ArrowRight", 9), ("Home", 1)):
        page.keyboard.press(key)
        expect(page.locator(".ql-vote:focus")).to_have_attribute("aria-label", re.compile(f"^Patch {number} votes"))
        expect(page.get_by_text(re.compile(rf"^QNN {number} says 0: .\d\.\d\d, 1: .\d\.\d\d\.$"))).to_be_visible()
    expect(page.locator(".ql-frame")).to_have_attribute("visibility", "visible")


def test_a_drawn_digit_is_answered(lab):
    page = lab()
    before = page.locator(".ql-bars").first.inner_text()
    pad = page.get_by_role("application")
    pad.focus()
    for key in ("ArrowRight", "Space", "ArrowDown", "Space", "ArrowDown", "Space"):
        page.keyboard.press(key)
    expect(page.get_by_text("Row 6, column 4: ink")).to_be_visible()
    expect(page.get_by_role("img", name="Your drawing")).to_be_visible()
    expect(page.locator(".ql-bars").first).not_to_have_text(before, timeout=PATIENCE)
    keyed = page.locator(".ql-bars").first.inner_text()
    box = pad.bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 20, steps=5)
    page.mouse.up()
    expect(page.locator(".ql-bars").first).not_to_have_text(keyed, timeout=PATIENCE)
    button(page, "Next").click()
    expect(page.get_by_role("img", name="Test image of a")).to_be_visible()


def test_curvature_and_landscapes_on_demand(lab):
    page = lab(f"{SMALL}&stop=5")
    button(page, "Principal plane").click()
    expect(page.get_by_text("The path has no plane yet: train")).to_be_visible(timeout=PATIENCE)
    button(page, "Measure").click()
    result = page.locator(".ql-of-A .ql-result")
    expect(result).to_have_text(re.compile(r"^λ max = [\d.]+ \(residual .*\), trace = .* ± .*\.$"), timeout=PATIENCE)
    button(page, "Run").click()
    expect(result).to_have_count(0)  # it belonged to another point
    expect(said(page)).to_contain_text("A stands at step 5", timeout=PATIENCE)
    for plane, axis in (("Principal plane", "PC 1"), ("Two top eigenvectors", "top eigenvector")):
        button(page, plane).click()
        landscape = page.get_by_role("img", name="Model A: loss from")
        expect(landscape).to_contain_text(axis, timeout=PATIENCE)
        expect(page.get_by_text("from line to line it doubles.")).to_be_visible(timeout=PATIENCE)


def test_what_is_asked_for_while_it_trains_waits_for_a_whole_epoch(lab):
    page = lab("digits=01&depth=1&stop=50")
    button(page, "Run").click()
    button(page, "Measure").click()
    expect(page.locator(".ql-of-A .ql-result")).to_have_text(re.compile(r"trace = .*\.$"), timeout=PATIENCE)
    assert int(settings(page)["step"]) % 6 == 0
    assert int(settings(page)["step"]) < 300


# -- the story --------------------------------------------------------------------------------------------------

STORY = """() => {
  const physics = patchPhysics(), training = patchTraining(), curvature = patchCurvature();
  const { address, story } = qpatch, digits = qpatch.labDigits(), known = new Map();
  function sharpness(settings, epochs) {  // trained as the worker does it
    const key = JSON.stringify([settings, epochs]);
    if (known.has(key)) return known.get(key);
    const model = physics.makeModel(settings), theta = training.initialParameters(model, settings.seed);
    const { images, labels } = digits.images("train", address.initial().digits);
    const adam = training.makeAdam(model.size), draw = training.twister(settings.seed);
    for (let epoch = 0; epoch < epochs; epoch++)
      for (const batch of training.makeBatches(labels, model.classes, settings.perClass, draw)) {
        const chosen = Float64Array.from(batch.flatMap(i => [...images.subarray(64 * i, 64 * i + 64)]));
        const { gradient } = physics.differentiate(model, theta, chosen, batch.map(i => labels[i]));
        adam(theta, gradient, training.annealed(settings.rate, epoch));
      }
    const product = vector => physics.differentiate(model, theta, images, labels, vector).product;
    const found = [...curvature.lanczos(product, curvature.signs(model.size, training.twister(1)), 10)].at(-1);
    known.set(key, found.values[0]);
    return found.values[0];
  }
  return story.slice(1).map(({ state }) => {
    const [a, b] = [false, true].map(isSecond => address.settingsOf({ ...address.initial(), ...state }, isSecond));
    return [0, 15].map(epochs => sharpness(b, epochs) / sharpness(a, epochs));
  });
}"""


def test_what_the_story_says_of_curvatures_is_so(lab):
    """How many times as sharp the second model is, untrained and trained, in the order of the story."""
    depth, patches, scale, rate = lab().evaluate(STORY)
    assert 1.5 < depth[0] < 2.5
    assert 1 / 1.5 < depth[1] < 1.5
    assert patches[1] < 1 / 4
    assert 2 < scale[1] < 5
    assert rate == [1, pytest.approx(2, abs=0.5)]
