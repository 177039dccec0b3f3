"""Each check of the built site notices what it is there for, and a sound page passes them all."""

import base64

import pytest
from site_checks import HEAVIEST_BYTES, find_problems

from book.site.browser import launch_chromium, serve

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
ICON = "<link rel='icon' href='data:,'>"  # without one, Chromium asks for /favicon.ico
FOLLOW_THE_READER = """<script>
  document.documentElement.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
</script>"""
SOUND = f"""<figure><img src="pixel.png" alt="A black pixel"></figure>
<img loading="lazy" style="margin-top: 5000px" src="pixel.png" alt="Another, far below">
<img src="data:image/png;base64,{PIXEL}" alt="A third">
<div style="overflow-x: auto"><div style="width: 2000px">a wide table that scrolls by itself</div></div>
<span class="math"><mjx-container>x</mjx-container></span>
<div class="plotly-graph-div"><svg class="main-svg"></svg></div>
"""


@pytest.fixture
def problems_of(browser, tmp_path):
    """A function from a page's body to its problems."""
    (tmp_path / "pixel.png").write_bytes(base64.b64decode(PIXEL))
    (tmp_path / "broken.png").write_bytes(b"no image")

    def problems_of(body: str, head: str = FOLLOW_THE_READER, dark: bool = True, width: int = 390) -> list[str]:
        page = f"<!doctype html><html lang='en'><head><title>A page</title>{ICON}{head}</head>{body}"
        (tmp_path / "page.html").write_text(page)
        with serve(tmp_path) as address:
            return find_problems(browser, f"{address}/page.html", dark=dark, width=width)

    return problems_of


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_sound_page(problems_of, dark, width):
    assert problems_of(SOUND, dark=dark, width=width) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<script>console.error('oh')</script>", "console error: oh"),
        ("<script>throw Error('oh')</script>", "script error: oh"),
        ("<script src='missing.js'></script>", "status 404"),
        ("<script>setTimeout(() => fetch('missing.json'), 200)</script>", "status 404"),
        ("<script src='http://127.0.0.1:9/x.js'></script>", "request failed"),
        (
            "<script src='https://cdn.example.org/x.js'></script>",
            "request to another host: https://cdn.example.org/x.js",
        ),
        ("<link rel='stylesheet' href='https://fonts.example.org/x.css'>", "request to another host"),
        ("<img src='broken.png' alt='A figure'>", "empty image: broken.png"),
        ("<img src='pixel.png'>", "image without alt text: pixel.png"),
        ("<img src='pixel.png' alt=' '>", "image without alt text: pixel.png"),
        ("<img src='pixel.png' alt='_images/pixel.png'>", "image without alt text: pixel.png"),
        ("<figure id='fig-x'><figcaption>Losses</figcaption></figure>", "figure without image: fig-x"),
        ("<div class='plotly-graph-div' id='plot'></div>", "interactive figure not drawn: plot"),
        (r"<span class='math'>\(x\)</span>", r"formula not set: \(x\)"),
        (
            "<span class='math' tabindex='0'><mjx-container><mjx-math>x</mjx-math></mjx-container></span>",
            "tab stop at a formula that is whole: x",
        ),
        (
            "<div class='cell_output'><div class='text_html' style='overflow: auto'><p style='width: 900px'>x",
            "is cut without a hint: x",
        ),
        (
            "<pre class='wide' style='width: 800px'>x</pre>",
            "scrolls horizontally at 390 px, for example because of <pre",
        ),
    ],
)
def test_broken_page(problems_of, body, expected):
    problems = problems_of(body)
    assert any(problem.startswith(expected) for problem in problems), problems


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "<mjx-container display='true'><mjx-math style='display: block; width: 1500px'>x",
            "formula cut at 1400 px: x",
        ),
        ("<div class='cell_output'><div><table><tr><td style='min-width: 1500px'>x", "table cut at 1400 px: x"),
    ],
)
def test_what_is_cut_on_a_wide_screen(problems_of, body, expected):
    style = "<style>body { overflow: hidden } mjx-container { display: block; overflow: auto }</style>"
    problems = problems_of(f"{style}{body}", width=1400)
    assert any(problem.startswith(expected) for problem in problems), problems


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("<p style='color: #999; background: #fff'>faint</p>", "serious: Elements must meet minimum color contrast"),
        ("<button></button>", "critical: Buttons must have discernible text (button-name): <button></button>"),
        (
            "<div role='img' aria-label='x'><a href='#'>inside</a></div>",
            "serious: Interactive controls must not be nested",
        ),
        (
            "<div style='overflow-x: auto; width: 200px'><p style='width: 900px'>" + "long " * 40,
            "serious: Scrollable region must have keyboard access",
        ),
    ],
)
def test_page_with_barriers(problems_of, body, fault):
    assert any(problem.startswith(f"accessibility, {fault}") for problem in problems_of(body))


def test_what_axe_calls_moderate_is_let_pass(problems_of):
    assert problems_of("<h1>A</h1><h4>Skips two levels</h4>") == []


def test_heavy_page(problems_of, tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "shared.js").write_text("//" + "x" * HEAVIEST_BYTES)
    load = "<script src='_static/shared.js'></script><script>fetch('data.json')</script>"
    (tmp_path / "data.json").write_text("1" * 1000)
    assert problems_of(load) == []
    (tmp_path / "data.json").write_text("1" * HEAVIEST_BYTES)
    (problem,) = problems_of(load)
    assert problem.startswith("weighs 2.00 MB of its own, at most 2 MB are allowed: /data.json 2.00 MB")


# As MathJax sets formulas: in a deferred script, long fetched when the parser, which pauses after each script of a
# busy page, comes to its end. The network is idle meanwhile.
LATE_FORMULA = f"""<span class="math">x</span>
<script src="formula.js" defer></script>
{"<script>for (const end = Date.now() + 400; Date.now() < end;);</script><p>Text.</p>" * 6}"""
FORMULA = "document.querySelector('.math').append(document.createElement('mjx-container'));"


def test_busy_page_is_waited_for(problems_of, tmp_path):
    (tmp_path / "formula.js").write_text(FORMULA)
    assert problems_of(LATE_FORMULA) == []


def test_page_that_ignores_the_reader(problems_of):
    assert problems_of("", head="<script>document.documentElement.dataset.theme = 'light'</script>") == [
        "theme is 'light' for a reader who prefers 'dark'"
    ]


def test_page_that_is_missing(browser, tmp_path):
    with serve(tmp_path) as address:
        problems = find_problems(browser, f"{address}/missing.html", dark=False, width=1280)
    assert f"status 404: {address}/missing.html" in problems


def test_missing_chromium(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        launch_chromium(playwright=None)
