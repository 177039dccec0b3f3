"""What the replication pages print: factors, percentage points, ranks and dashes, from tables with known numbers."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from book.show import replication_tables
from book.show.replication import draw_members
from qpatch.study.replicas import membership

COMMON = {"first": "4 patches, depth 50", "second": "9 patches, depth 100", "p_holm": 0.0123, "outcome": "holds"}


def comparison(claim: str, method: str, effect: float, low: float = np.nan, high: float = np.nan, **others) -> dict:
    values = {"claim": claim, "method": method, "effect": effect, "low": low, "high": high}
    return COMMON | {"agree": 15.0, "pairs": 16.0} | values | others


def shown(*rows: dict) -> list[dict]:
    return replication_tables.comparison_rows(pd.DataFrame(rows)).data.to_dict("records")


def test_a_difference_of_logarithms_is_shown_as_a_factor():
    (row,) = shown(comparison("flatter", "Welch, ln", *np.log([0.25, 0.2, 0.5])))
    assert row["Effect"] == "\N{MULTIPLICATION SIGN} 0.25 (0.20, 0.50)"
    assert (row["Quantity"], row["From"], row["To"]) == ("λ max", "4, 50", "9, 100")
    assert (row["Pairs"], row["p"], row["Outcome"]) == ("15 of 16", "0.012", "holds")


def test_a_difference_of_accuracies_is_shown_in_percentage_points():
    (row,) = shown(comparison("accurate", "Welch, same images", 0.01, -0.0025, 0.02))
    assert row["Effect"] == "+1.00 (-0.25, +2.00)"


def test_what_has_no_interval_no_pairs_or_no_p_shows_none():
    planar = comparison("planar", "least of all runs", 0.9523, p_holm=np.nan)
    slope = comparison("flatter-loss", "regression, ln", -0.9, -1.0, -0.5, pairs=np.nan, agree=np.nan)
    rows = shown(planar, slope)
    assert (rows[0]["Effect"], rows[0]["Quantity"], rows[0]["p"]) == ("0.952", "PC 1 + PC 2", "—")
    assert (rows[1]["Effect"], rows[1]["Pairs"]) == ("-0.90 (-1.00, -0.50)", "—")


def test_seeds_are_shown_with_mean_and_standard_deviation():
    table = pd.DataFrame({"n_patches": 4, "depth": 50, "n_parameters": 10_112, "lambda_max": [10.0, 12.0, 14.0]})
    table = table.assign(train_loss=[0.1, 0.2, 0.3], test_loss=0.5, test_accuracy=[np.nan, np.nan, 0.9])
    (row,) = replication_tables.seed_rows(table).data.to_dict("records")
    assert (row["Patches, depth"], row["Parameters"], row["Seeds"]) == ("4, 50", "10,112", "3")
    assert (row["λ max"], row["Training loss"]) == ("12.00 (2)", "0.2000 (0.1)")
    assert row["Test accuracy"] == "—"  # one value has no spread


def test_members_say_where_they_part_and_which_are_the_same():
    numbers = {"best_epoch": 36, "train_loss": 0.02, "test_loss": 0.07, "test_accuracy": 0.98, "lambda_max": 15.0}
    nowhere = {"parting_epoch": pd.NA, "parting_iteration": pd.NA, "same_as": None}
    rows = [
        {"variant": "standard"} | nowhere,
        {"variant": "repeat"} | nowhere | {"parting_epoch": 19, "parting_iteration": 36},
        {"variant": "again"} | nowhere | {"parting_epoch": 19, "parting_iteration": 36, "same_as": "repeat"},
        {"variant": "double"} | nowhere,
    ]
    table = replication_tables.member_rows(pd.DataFrame([row | numbers for row in rows])).data.set_index("Member")
    parts = table.loc[["standard", "repeat", "again", "double", "plain"], "Parts"].tolist()
    assert parts == ["—", "19, 36", "= repeat", "never", "not run yet"]
    assert table.loc["double", "λ max"] == "15.00"
    assert table.loc["plain", "λ max"] == "—"


def test_partings_say_what_is_known_without_a_log():
    common = {"n_patches": 4, "depth": 50, "first_epoch": np.nan, "before": np.nan}
    rows = [
        common | {"published_epochs": 50, "parting": 19, "reported": 36, "reported_apart": True},
        common | {"published_epochs": 50, "parting": pd.NA, "reported": 36, "reported_apart": False},
        common | {"published_epochs": 0, "parting": pd.NA, "reported": 46, "reported_apart": False},
        common | {"published_epochs": 0, "parting": pd.NA, "reported": 36, "reported_apart": True},
        common | {"published_epochs": 0, "parting": pd.NA, "reported": pd.NA, "reported_apart": True},
    ]
    shown = replication_tables.parting_rows(pd.DataFrame(rows)).data["Parts in"].tolist()
    assert shown == [
        "epoch 19",
        "never",
        "no log published; together at epoch 46",
        "no log published; apart at epoch 36",
        "no log published",
    ]


def test_agreement_is_shown_in_units_as_long_as_they_mean_something():
    row = {"n_patches": 4, "depth": 50, "quantity": "lambda_max", "published": 16.0, "ours": 15.0, "difference": 1.0}
    best = {"n_patches": 4, "depth": 50, "quantity": "best_epoch", "published": 36, "ours": 46, "difference": 10}
    table = pd.DataFrame([row | {"units": 1e6}, row | {"units": 1000.0}, best | {"units": 10.0}])
    shown = replication_tables.agreement_rows(table).data[["Per cent", "Units"]].values.tolist()
    assert shown == [["6.2", "> 1,000"], ["6.2", "1,000"], ["—", "10"]]


def test_a_membership_is_shown_with_its_interval_and_rank():
    """Sample 10, 12, 14: mean 12, s = 2, and t(2) at 97.5 % is 4.3027, so 12 -+ 4.3027 * 2 * sqrt(4 / 3)."""
    found = {"lambda_max": membership(15.0, np.array([10.0, 12.0, 14.0]))}
    (row,) = replication_tables.membership_rows(found).data.to_dict("records")
    assert (row["Paper"], row["Mean"], row["s"]) == ("15.00", "12.00", "2.0")
    assert (row["Least, most"], row["Interval"]) == ("10.00, 14.00", "2.06, 21.94")
    assert (row["Inside?"], row["Rank"]) == ("yes", "4/4")
    assert float(row["p"]) == pytest.approx(0.5)  # 2 / (n + 1)


def test_members_are_drawn_with_the_authors_value_and_the_interval():
    ax = plt.figure().subplots()
    draw_members(ax, np.array([10.0, 12.0, 14.0]), 15.0, (2.0, 22.0), "λ max")
    bar, members, author = (line.get_xdata().tolist() for line in ax.lines)
    assert (bar, members, author) == ([2.0, 22.0], [10.0, 12.0, 14.0], [15.0])
    plt.close("all")
