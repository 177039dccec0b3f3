"""The explorers of the built book, used with the keyboard; and what stands in their place where they cannot run."""

import json
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect
from test_site import SITE

from book.site.browser import serve

PATCHES, RUNS, LAB = "book/paper/patches.html", "book/explore.html", "book/lab.html"
TWIN = ".tag_static-twin img"


@pytest.fixture(scope="module")
def address():
    with serve(SITE) as address:
        yield address


@pytest.fixture
def patches(open_page, address):
    return open_page(f"{address}/{PATCHES}")


@pytest.fixture
def explorer(open_page, address):
    return open_page(f"{address}/{RUNS}")


def embedded(page) -> dict:
    return json.loads(page.locator(".qpatch-explorer script").text_content())


def stored(page) -> list[dict]:
    return [run for group in embedded(page)["sets"] for run in group["runs"]]


def has_outline(locator) -> bool:
    return locator.evaluate("element => getComputedStyle(element).outlineStyle !== 'none'")


# -- patches --------------------------------------------------------------------------------------------------


def test_arrow_keys_choose_the_stride(patches):
    data = embedded(patches)
    strides = patches.get_by_role("group", name="Stride")
    strides.get_by_role("radio", name=str(data["strides"][0]["stride"]), exact=True).check()
    for choice in data["strides"]:
        expect(patches.locator(".qx-tile")).to_have_count(len(choice["corners"]))
        expect(patches.get_by_role("status")).to_contain_text(
            f"Stride {choice['stride']}: {len(choice['corners'])} patches"
        )
        counts = patches.locator(".qx-map text").all_text_contents()
        assert [int(count) for count in counts] == choice["coverage"]
        patches.keyboard.press("ArrowRight")
    expect(patches.locator(".qx-tile")).to_have_count(len(data["strides"][0]["corners"]))  # once around


def test_arrow_keys_go_from_patch_to_patch(patches):
    data = embedded(patches)
    chosen = next(choice for choice in data["strides"] if choice["stride"] == data["stride"])
    side, corners = chosen["perSide"], chosen["corners"]
    patches.get_by_role("group", name="Digit").get_by_role("radio", name="0", exact=True).focus()
    patches.keyboard.press("Tab")
    for key, number in (("", 0), ("ArrowRight", 1), ("ArrowDown", 1 + side), ("ArrowLeft", side), ("ArrowUp", 0),
                        ("ArrowLeft", 0), ("End", side**2 - 1), ("ArrowDown", side**2 - 1), ("Home", 0)):  # fmt: skip
        if key:
            patches.keyboard.press(key)
        focused = patches.locator(".qx-tile:focus")
        row, column = (corner + 1 for corner in corners[number])
        place = f"Patch {number + 1}: rows {row} to {row + data['patchSize'] - 1}, columns {column} to "
        expect(focused).to_have_attribute("aria-label", f"{place}{column + data['patchSize'] - 1}")
        expect(patches.get_by_role("status")).to_contain_text(place)
        for frame in patches.locator(".qx-here").all():
            assert [frame.get_attribute(name) for name in ("visibility", "x", "y")] == [
                "visible", str(column - 1), str(row - 1),
            ]  # fmt: skip
    assert has_outline(focused)
    patches.keyboard.press("Tab")
    expect(patches.locator(".qx-tile:focus")).to_have_count(0)  # one stop of the Tab key for the whole group


def test_a_patch_under_the_mouse_is_highlighted(patches):
    patches.locator(".qx-tile").nth(2).hover()
    expect(patches.get_by_role("status")).to_contain_text("Patch 3: ")


def test_another_digit_is_another_picture(patches):
    def shown():
        return patches.locator(".qx-map rect").nth(75).evaluate("rect => rect.parentNode.innerHTML")

    before = shown()
    patches.get_by_role("radio", name="7", exact=True).check()
    assert shown() != before
    expect(patches.get_by_role("img", name="A 7 with the frames")).to_be_visible()


@pytest.mark.parametrize(("preference", "moves"), [("no-preference", True), ("reduce", False)])
def test_frames_move_only_where_motion_is_welcome(open_page, address, preference, moves):
    page = open_page(f"{address}/{PATCHES}", reduced_motion=preference)
    durations = page.locator(".qx-here").first.evaluate("frame => getComputedStyle(frame).transitionDuration")
    assert (durations != "0s") == moves


# -- runs -----------------------------------------------------------------------------------------------------


def test_every_run_can_be_shown(explorer):
    for run in stored(explorer):
        explorer.evaluate("id => { location.hash = id; }", run["id"])
        expect(explorer.get_by_role("status")).to_contain_text(run["title"])
        cells = explorer.locator(".qx-confusion tbody td").all_text_contents()
        assert sum(map(int, cells)) == run["testImages"]
        expect(explorer.locator(".qx-digits li")).to_have_count(len(run["hardest"]))
        drawn = 1 + (run["landscape"] is not None) + (run["spectrum"] is not None)
        expect(explorer.locator(".qx-plot .main-svg:first-child")).to_have_count(drawn)
        expect(explorer.locator(".qx-missing")).to_have_count(3 - drawn)


def choose(page, label: str):
    """A drop-down list by its accessible name."""
    return page.get_by_role("combobox", name=label, exact=True)


def test_every_choice_has_a_name_and_is_made_with_the_keyboard(explorer):
    groups, (sets, stride, depth) = (
        embedded(explorer)["sets"],
        (choose(explorer, x) for x in ("Runs", "Stride", "Depth")),
    )
    sets.focus()
    assert has_outline(sets)
    explorer.keyboard.press("Home")
    for group in groups:
        assert sets.locator("option:checked").text_content() == group["label"]
        for choice in (stride, depth):
            explorer.keyboard.press("Tab")
            expect(choice).to_be_focused()
            explorer.keyboard.press("End")
        run = next(run for run in group["runs"] if run["id"] == depth.input_value())
        assert str(run["stride"]) == stride.input_value()
        assert run["stride"] == group["runs"][-1]["stride"]
        expect(explorer.get_by_role("status")).to_contain_text(run["title"])
        report = explorer.get_by_role("link", name="Report of this run")
        assert report.get_attribute("href") == run["href"]
        sets.focus()
        explorer.keyboard.press("ArrowDown")


def test_an_address_names_a_run(open_page, address, explorer):
    last = stored(explorer)[-1]
    page = open_page(f"{address}/{RUNS}#{last['id']}")
    expect(choose(page, "Depth")).to_have_value(last["id"])


def test_the_surface_turns_by_buttons(explorer):
    run = next((run for run in stored(explorer) if run["landscape"]), None)
    assert run, "no stored run has a landscape"
    explorer.evaluate("id => { location.hash = id; }", run["id"])
    expect(explorer.get_by_role("button", name="Turn left")).to_be_hidden()
    choose(explorer, "Show as").select_option("surface")
    camera = (
        "() => [...document.querySelectorAll('.qx-plot')].find(card => card.layout.scene)?.layout.scene.camera.eye.x"
    )
    explorer.wait_for_function(camera)
    before = explorer.evaluate(camera)
    explorer.get_by_role("button", name="Turn left").press("Enter")
    assert explorer.evaluate(camera) != before


def test_headings_sort(explorer):
    table = explorer.locator("table.qpatch-runs")
    headings = table.locator("thead th").all_text_contents()
    column = headings.index("Training loss")
    values = f"rows => rows.map(row => Number(row.cells[{column}].dataset.value))"
    button = table.get_by_role("button", name="Training loss")
    for direction, sign in (("ascending", 1), ("descending", -1)):
        button.press("Enter")
        expect(table.locator("th[aria-sort]")).to_have_attribute("aria-sort", direction)
        found = table.locator("tbody tr").evaluate_all(values)
        assert found == sorted(found, key=lambda value: sign * value)
    assert len(found) == len(stored(explorer))


def test_a_row_leads_to_its_report(explorer):
    row = explorer.locator("table.qpatch-runs tbody tr").first
    target = row.locator("a").get_attribute("href")
    row.locator("td").first.click()
    explorer.wait_for_url(f"**/{target}")


# -- where explorers cannot run ---------------------------------------------------------------------------------


@contextmanager
def _twin_stands_in(page):
    yield
    expect(page.locator(".qpatch-explorer")).to_be_hidden()
    expect(page.locator(TWIN).last).to_be_visible()


@pytest.mark.parametrize("path", [PATCHES, RUNS, LAB])
def test_static_twins(open_page, address, path):
    live = open_page(f"{address}/{path}")
    expect(live.locator(".qpatch-explorer")).to_be_visible()
    expect(live.locator(TWIN).last).to_be_hidden()
    with _twin_stands_in(live):
        live.emulate_media(media="print")
    plain = open_page(f"{address}/{path}", java_script_enabled=False)
    with _twin_stands_in(plain):
        pass


def test_the_table_keeps_its_headings_on_paper(explorer):
    explorer.emulate_media(media="print")
    for heading in explorer.locator("table.qpatch-runs thead th button").all():
        expect(heading).to_be_visible()
    assert explorer.locator("table.qpatch-runs thead th button").count() > 1


def test_the_table_needs_no_script(open_page, address):
    page = open_page(f"{address}/{RUNS}", java_script_enabled=False)
    links = page.locator("table.qpatch-runs tbody a")
    assert links.count() == page.locator("table.qpatch-runs tbody tr").count() > 0
    for link in links.all():
        assert (SITE / "book" / link.get_attribute("href")).is_file()


@pytest.mark.parametrize("path", [PATCHES, RUNS, LAB])
def test_pages_work_from_a_disk(open_page, path):
    page = open_page((SITE / path).as_uri())
    expect(page.get_by_role("status")).to_contain_text("patches")
