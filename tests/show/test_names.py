"""The rooms' own names: each is there, and naming the room loads none of them."""

import subprocess
import sys

import pytest

import book.show
import qpatch.study


@pytest.mark.parametrize("room", [book.show, qpatch.study])
def test_every_name_of_a_room_is_there(room):
    assert len(room.__all__) > 10
    for name in room.__all__:
        assert getattr(room, name) is not None


def test_a_room_loads_what_is_asked_of_it_and_no_more():
    script = (
        "import sys, book.show, qpatch.study; assert not {'matplotlib', 'pandas', 'plotly'} & set(sys.modules);"
        "from qpatch.study import COMPARABLE; assert 'pandas' in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
