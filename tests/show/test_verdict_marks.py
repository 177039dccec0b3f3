"""Verdicts to be seen from afar."""

import pytest
from lxml import html

from book.show import tables
from qpatch.study.claims import claims_table
from qpatch.study.result_tables import read_table


@pytest.mark.parametrize(
    ("verdict", "look"),
    [
        ("holds", "holds"),
        ("holds in all 4 comparisons tested", "holds"),
        ("holds in 1 of 4 comparisons, the others undecided", "partly"),
        ("undecided", "undecided"),
        ("does not hold", "fails"),
        ("does not hold throughout: 1 of 3 comparisons for it, 2 against", "fails"),
        ("not yet run at full size; no test over seeds yet", "open"),
        ("confirmed; no test over seeds yet", "open"),
    ],
)
def test_a_mark_says_what_the_words_say(verdict, look):
    mark = html.fragment_fromstring(tables.mark(verdict))
    assert mark.get("class") == f"qpatch-mark {look}"
    assert mark.get("aria-hidden") == "true"  # the words are read out


def test_marks_differ_in_more_than_colour():
    shown = {(look, sign) for look, sign, _ in tables.VERDICTS.values()}
    assert len(shown) == len({look for look, _ in shown}) == len({sign for _, sign in shown}) == 5


def test_every_verdict_of_the_balance_has_its_mark():
    claims = claims_table([], read_table("verdicts"))
    table = html.fromstring(tables.balance(claims.assign(Claim="a < b")).to_html())
    column = list(claims).index("Verdict") + 1
    cells = table.xpath(f"//tbody/tr/td[{column}]")
    assert [cell.text_content().split(" ", 1)[1] for cell in cells] == claims["Verdict"].tolist()
    assert all(cell.xpath("span[contains(@class, 'qpatch-mark')]") for cell in cells)


def test_the_line_of_marks_has_each_once():
    line = html.fragment_fromstring(tables.marks())
    looks = [mark.get("class").split()[1] for mark in line.xpath("span/span")]
    assert sorted(looks) == sorted({look for look, _, _ in tables.VERDICTS.values()})
