"""The drawing of the house is that of the contract which `make lint` enforces, and names only rooms that there are."""

import tomllib

from helpers import REPOSITORY

from book.site.rooms import DOES, FLOORS, WAY


def test_floors_are_those_of_the_contract():
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract.get("containers") == ["qpatch"])
    enforced = [{name.strip() for name in layer.split("|")} for layer in layers if layer != "__main__"]
    assert [set(rooms) for rooms in FLOORS] == enforced


def test_rooms_are_there_and_each_says_what_it_does():
    drawn = [room for rooms in FLOORS for room in rooms]
    found = {path.stem for path in (REPOSITORY / "qpatch").iterdir() if not path.name.startswith("_")}
    assert set(drawn) == found == set(DOES)
    assert set(WAY) <= set(drawn)
