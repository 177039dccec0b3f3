"""Results kept from one pass to the next: never others than were computed, and no more than there is room for."""

import contextlib

import pytest
import torch

from qpatch.engine.kept import Kept, kept


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


def test_outside_a_section_every_call_computes():
    square = Counted(torch.square)
    for number in (2.0, 3.0):
        assert kept(square, torch.tensor(number)).item() == number**2
    assert square.calls == 2


def test_later_passes_read_what_the_first_computed_in_the_same_order():
    store, square, both = Kept(100), Counted(torch.square), Counted(lambda x: (x + 1, x + 2))
    passes = []
    for _ in range(3):
        with store.section("a"):
            first, pair = kept(square, torch.tensor(3.0)), kept(both, torch.tensor(5.0))
            passes.append([first.item(), *(part.item() for part in pair)])
    assert passes == [[9.0, 6.0, 7.0]] * 3
    assert square.calls == both.calls == 1
    assert store.bytes == 3 * 4  # three float32


def test_sections_do_not_mix():
    store = Kept(100)
    for _ in range(2):
        for number in (1.0, 2.0):
            with store.section(number):
                assert kept(torch.square, torch.tensor(number)).item() == number**2


def test_a_full_store_computes_again():
    store, square = Kept(4), Counted(torch.square)
    for _ in range(2):
        for name in ("fits", "does not"):
            with store.section(name):
                kept(square, torch.tensor(3.0))
    assert square.calls == 3
    assert store.bytes == 4


def test_a_pass_that_breaks_off_leaves_nothing():
    store, square = Kept(100), Counted(torch.square)
    with contextlib.suppress(KeyboardInterrupt), store.section("a"):
        kept(square, torch.tensor(3.0))
        raise KeyboardInterrupt
    assert store.bytes == 0
    with store.section("a"):
        kept(square, torch.tensor(3.0))
    assert square.calls == 2


@pytest.mark.parametrize(("calls", "message"), [(2, "more than the 1 results"), (0, "not asked for all of the 1")])
def test_a_pass_of_another_length_is_an_error(calls, message):
    store = Kept(100)

    def pass_through(calls):
        with store.section("a"):
            for _ in range(calls):
                kept(torch.square, torch.tensor(3.0))

    pass_through(1)
    with pytest.raises(RuntimeError, match=message):
        pass_through(calls)
