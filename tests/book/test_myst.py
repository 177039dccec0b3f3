"""MyST in blocks and as plain Markdown: each construct of the book, by example."""

from pathlib import Path

import pytest

from book.site.myst import Labels, blocks, collect_labels, plain, plain_code
from qpatch.files import PROJECT

HERE = PROJECT / "book" / "paper" / "here.md"
LABELS = Labels(
    texts={
        "eq-a": ("(1)", "Here"),
        "eq-b": ("(2)", "There"),
        "fig-c": ("figure 3", "Here"),
        "ex-d": ("the exercise “Signs”", "There"),
    },
    titles={HERE.resolve(): "Here", (PROJECT / "book" / "there.md").resolve(): "There"},
)


def test_text_and_fences_are_told_apart():
    text = "One.\n\n```{math}\n:label: eq-a\na = b\n```\n\nTwo.\n\n````{exercise} Core: x\n```python\nc\n```\n````\n"
    found = blocks(text)
    assert [block.name for block in found] == ["", "{math}", "", "{exercise}"]
    assert found[1].options == {"label": "eq-a"}
    assert (found[1].body, found[3].argument, found[3].body) == ("a = b", "Core: x", "```python\nc\n```")
    assert "\n\n".join(block.source for block in found) == text.strip()


def test_fences_inside_of_code_are_code():
    (block,) = blocks("````\n```{math}\na\n```\n````")
    assert plain("````\n```{math}\na\n```\n````", HERE, LABELS) == block.source


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("See {eq}`eq-a` and {eq}`eq-b`.", "See (1) and (2) of *There*."),
        ("See {numref}`fig-c`, {ref}`ex-d`.", "See figure 3, the exercise “Signs” of *There*."),
        ("{ref}`this one <ex-d>`", "This one"),
        (
            "{numref}`fig-c` shows. {numref}`fig-c` is\nseen, {numref}`fig-c`.",
            "Figure 3 shows. Figure 3 is\nseen, figure 3.",
        ),
        ("- {ref}`ex-d`\n> see\n> {numref}`fig-c`", "- The exercise “Signs” of *There*\n> see\n> figure 3"),
        ("{numref}`Figure %s <fig-c>`", "Figure 3"),
        ("{doc}`../there` and {doc}`/book/there`", "*There* and *There*"),
        ("{doc}`that page\n<../there>` again", "*that page* again"),
        ("[more](../there.md) or [out](https://example.org)", "*more* or [out](https://example.org)"),
        ("{term}`patch` {math}`x_1`", "patch $x_1$"),
        ("{cite}`li2018visualizing,unknown`", "[Li et al., 2018; unknown]"),
        ("{cite}`perezsalinas2020data`", "[Pérez-Salinas et al., 2020]"),
        ("`{eq}` is a role, `{eq}`", "`{eq}` is a role, `{eq}`"),
        ("- one {eq}`eq-a`\n- two $\\theta$", "- one (1)\n- two $\\theta$"),
        ("```{math}\n:label: eq-a\na = b\n```", "$$\na = b\n\\tag{1}\n$$"),
        ("```{math}\na\n```", "$$\na\n$$"),
        (":::{admonition} Aim\n:class: learn\nTo {eq}`eq-a`.\n:::", "> **Aim**\n>\n> To (1)."),
        (":::{note}\nMind.\n:::", "> **Note**\n>\n> Mind."),
        (
            ":::{hint}\n:class: dropdown\nTry.\n:::",
            "<details>\n<summary>Hint</summary>\n\nTry.\n\n</details>",
        ),
        ("```{code-block} console\n$ make\n```", "```console\n$ make\n```"),
        ("(here)=\n## Title\n\n% hidden\n\nText", "## Title\n\n\nText"),
        ("```{toctree}\na\n```", ""),
        ("```{glossary}\nterm\n: meaning\n```", "term\n: meaning"),
    ],
)
def test_each_construct_becomes_plain(source, expected):
    assert plain(source, HERE, LABELS) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('say("in {doc}`../there`.")', 'say("in *There*.")'),
        ('say(f"{x:.2g} in {{numref}}`fig-c`")', 'say(f"{x:.2g} in figure 3")'),
        ('"{eq}`eq-b`, {ref}`ex-d`, {ref}`so <ex-d>`"', '"(2) of *There*, the exercise “Signs” of *There*, so"'),
        ('f"[more](../there.md) or [out](https://a.b/c.md)"', 'f"*more* or [out](https://a.b/c.md)"'),
        ('table[name](x)\n{"eq": f"`{name}`"}', 'table[name](x)\n{"eq": f"`{name}`"}'),
    ],
)
def test_references_in_the_strings_of_code_become_words(code, expected):
    assert plain_code(code, HERE, LABELS) == expected


def test_plain_markdown_stays_as_it_is():
    source = "# A\n\n| a | b |\n| --- | --- |\n| 1 | $x$ |\n\n```python\nx = {1: 2}\n```\n\n1. one\n2. two"
    assert plain(source, HERE, LABELS) == source


def test_labels_of_a_page(tmp_path):
    page = Path(tmp_path / "page.md")
    page.write_text(
        "---\njupytext:\n  text_representation:\n    extension: .md\n    format_name: myst\n---\n\n# Title\n\n"
        "```{math}\n:label: eq-one\na\n```\n\n```{code-cell} ipython3\n---\nmystnb:\n  figure:\n    name: fig-x\n"
        "    caption: C\n---\nplot()\n```\n\n(sec)=\n## Part\n\n```{math}\n:label: eq-two\nb\n```\n"
    )
    labels = collect_labels([page])
    assert labels.titles == {page.resolve(): "Title"}
    assert {label: text for label, (text, _) in labels.texts.items()} == {
        "eq-one": "(1)",
        "eq-two": "(2)",
        "fig-x": "figure 1",
        "sec": "the section “Part”",
    }
