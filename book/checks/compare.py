"""An answer held against a value: silence where they agree, else a message that helps without telling the value.

The self-checks of the exercises (`book.checks`) are made of these; nothing here knows an exercise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
import torch

# What a wrong factor usually means. Both directions are tried.
FACTORS = {
    -1.0: ("has the wrong sign",) * 2,
    2.0: ("is twice what it should be", "is half of what it should be"),
    4.0: ("is four times what it should be", "is a quarter of what it should be"),
    2.0**0.5: ("is too large by the root of two", "is too small by the root of two"),
    180 / np.pi: ("is in degrees; give radians", "was turned into radians once too often"),
    2 * np.pi: ("is too large by 2 pi", "is too small by 2 pi"),
    100.0: (
        "is 100 times what it should be: a percentage, or the scale c?",
        "is 100 times too small: is the scale c missing, or a percentage expected?",
    ),
}
ROUNDED = 0.03  # an answer this near, relative to each value, may be the right one rounded to two digits
SHOWN = 6  # values of an argument that a message shows
ALMOST = f"is right to {100 * ROUNDED:g} per cent only: is it rounded? Give it as computed"
NOT_DONE = "not done yet: put your code in the place of `...` or of the `raise` line"


class AnswerError(AssertionError):
    """An answer that is missing or wrong. A notebook shows the message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def fail_unless(condition: bool, message: str) -> None:
    """A check of a property in words.

    Raises:
        AnswerError: the condition does not hold.
    """
    if not condition:
        raise AnswerError(message)


def to_values(answer, what: str = "the answer") -> np.ndarray:
    """A number, list, array or tensor as a NumPy array of finite numbers.

    Raises:
        AnswerError: nothing there yet, no numbers, or some that are not finite.
    """
    fail_unless(answer is not ..., NOT_DONE)
    fail_unless(answer is not None, f"{what} is None; does the function end with `return`?")
    if isinstance(answer, torch.Tensor):
        answer = answer.detach().cpu().resolve_conj().numpy()
    try:
        values = np.asarray(answer)
        if values.dtype.kind not in "biufc":  # text would become a number silently
            raise TypeError
        values = values.astype(complex if np.iscomplexobj(values) else float)
    except (TypeError, ValueError):
        raise AnswerError(f"{what} is of type {type(answer).__name__}; give a number, a list or an array") from None
    fail_unless(bool(np.isfinite(values).all()), f"{what} holds values that are not finite (NaN or infinity)")
    return values


def to_number(answer, what: str = "the answer") -> float:
    """A number, or a list, array or tensor of one.

    Raises:
        AnswerError: nothing there yet, no real number, more than one, or one that is not finite.
    """
    values = to_values(answer, what)
    fail_unless(values.size == 1, f"{what} has the shape {values.shape}; give one number")
    fail_unless(np.isrealobj(values), f"{what} is complex; give a real number")
    return values.item()


def same(
    answer,
    expected,
    tolerance: float = 1e-6,
    what: str = "the answer",
    slips: Mapping[str, object] | None = None,
) -> None:
    """Numbers that must agree in shape and value.

    Args:
        answer: a number, list, array or tensor.
        expected: what it should be.
        tolerance: of the largest deviation, relative to the largest expected magnitude.
        what: the subject of the message.
        slips: wrong answers that this exercise invites, each under the question to ask back.

    Raises:
        AnswerError: they do not agree; the message says how, as far as that is recognised, but not the value.
    """
    values, wanted = to_values(answer, what), to_values(expected)
    if values.shape != wanted.shape and values.size == wanted.size == 1:
        values = values.reshape(wanted.shape)
    for question, slip in (slips or {}).items():
        slip = to_values(slip)
        if values.shape == slip.shape and _close(values, slip, tolerance) and not _close(slip, wanted, tolerance):
            raise AnswerError(f"{what} is not right: {question}")
    if values.shape != wanted.shape:
        _complain_of_shape(values, wanted, what)
    if not _close(values, wanted, tolerance):
        raise AnswerError(f"{what} {next(_clues(values, wanted, tolerance))}")


def same_set(answer, expected: Iterable, what: str = "the answer") -> None:
    """Whole numbers that must be the same, in any order.

    Raises:
        AnswerError: some are missing or do not belong there; the message tells which do not belong.
    """
    values, wanted = set(to_values(answer, what).ravel().tolist()), {float(value) for value in expected}
    foreign = sorted(values - wanted)
    fail_unless(not foreign, f"{what} holds {', '.join(f'{value:g}' for value in foreign)}, which does not belong")
    fail_unless(values == wanted, f"{what} is not complete: what is there is right, but something is missing")


def same_function(
    answer: Callable,
    expected: Callable,
    arguments: Iterable[tuple],
    tolerance: float = 1e-6,
    what: str = "your function",
    slips: Mapping[str, Callable] | None = None,
) -> None:
    """A function whose values must agree with another's for some arguments.

    Args:
        answer: the function.
        expected: what it should be.
        arguments: a tuple for every call.
        tolerance: as for `same`.
        what: the subject of the message.
        slips: wrong functions that this exercise invites, each under the question to ask back.

    Raises:
        AnswerError: it is none, it raises, or a value differs.
    """
    for given in arguments:
        value, shown = call(answer, *given, what=what), ", ".join(map(_shown, given))
        wrong = {question: slip(*given) for question, slip in (slips or {}).items()}
        same(value, expected(*given), tolerance, f"the value of {what} at ({shown})", wrong)


def call(function: Callable, *arguments, what: str = "your function"):
    """What a function returns. It gets copies of arrays, tensors and lists, to do with as it likes.

    Raises:
        AnswerError: it is no function, not written yet, or raises something.
    """
    fail_unless(function is not ..., NOT_DONE)
    fail_unless(callable(function), f"{what} is of type {type(function).__name__}; give a function")
    try:
        return function(*map(_copied, arguments))
    except NotImplementedError:
        raise AnswerError(NOT_DONE) from None
    except Exception as error:
        raise AnswerError(f"{what} raised {type(error).__name__}: {error}") from error


def _shown(value) -> str:
    """An argument as a message shows it: a number or a few of them in full, of anything larger its shape."""
    if callable(value):
        return "a function"
    values = np.asarray(value)
    if values.size > SHOWN:
        return f"an array of shape {values.shape}"
    text = np.array2string(values, separator=", ", formatter={"all": "{:.4g}".format})
    return " ".join(text.split())


def _copied(value):
    if isinstance(value, torch.Tensor):
        return value.clone()
    return copy.deepcopy(value) if isinstance(value, (np.ndarray, list)) else value


def _complain_of_shape(values: np.ndarray, wanted: np.ndarray, what: str) -> None:
    message = f"{what} has the shape {values.shape}; it should have {wanted.shape}"
    if values.ndim > 1 and values.shape[::-1] == wanted.shape:
        message += ", which is its transpose"
    elif values.size == wanted.size:
        message += ": as many values, so reshape or flatten"
    raise AnswerError(message)


def _close(values: np.ndarray, wanted: np.ndarray, tolerance: float) -> bool:
    return bool(np.abs(values - wanted).max(initial=0.0) <= tolerance * np.abs(wanted).max(initial=0.0))


def _rounded(values: np.ndarray, wanted: np.ndarray) -> bool:
    return bool((np.abs(values - wanted) <= ROUNDED * np.abs(wanted)).all())


def _clues(values: np.ndarray, wanted: np.ndarray, tolerance: float) -> Iterator[str]:
    """What the deviation looks like, the most telling first; the last one always fits."""
    for factor, (larger, smaller) in FACTORS.items():
        if _close(values, factor * wanted, tolerance):
            yield larger
        if _close(values, wanted / factor, tolerance):
            yield smaller
    if np.iscomplexobj(wanted) or np.iscomplexobj(values):
        if _close(values, wanted.conj(), tolerance):
            yield "is the complex conjugate of what it should be: look at the sign in exp(-i theta P / 2)"
        overlap = abs(np.vdot(values, wanted))
        if overlap and np.isclose(overlap, np.linalg.norm(values) * np.linalg.norm(wanted)):
            yield "is right up to a common factor: check the normalisation and the phase"
    if values.size > 1:
        yield from _clues_of_arrays(values, wanted, tolerance)
    elif np.isrealobj(values) and np.isrealobj(wanted):
        value, right = values.item(), wanted.item()
        if right.is_integer() and abs(value - right) == 1:
            yield "is off by one"
        if right and _close(values, 1 / wanted, tolerance):
            yield "is the reciprocal of what it should be"
        if _close(values, wanted**2, tolerance) or (right >= 0 and _close(values, wanted**0.5, tolerance)):
            yield "is the square or the root of what it should be"
        if _rounded(values, wanted) and not right.is_integer():
            yield ALMOST
        yield f"is too {'large' if value > right else 'small'}"
    yield "is not right"


def _clues_of_arrays(values: np.ndarray, wanted: np.ndarray, tolerance: float) -> Iterator[str]:
    if values.ndim == 2 and values.shape[0] == values.shape[1] and _close(values, wanted.T, tolerance):
        yield "is the transpose of what it should be"
    if _close(values, np.flip(wanted), tolerance):
        yield "has the right values in the opposite order"
    if _close(np.sort_complex(values.ravel()), np.sort_complex(wanted.ravel()), tolerance):
        yield "has the right values in another order"
    offset = values - wanted
    if _close(offset, np.full_like(offset, offset.flat[0]), tolerance):
        yield "is off by the same amount everywhere"
    if _rounded(values, wanted):
        yield ALMOST
    wrong = np.argwhere(np.abs(offset) > tolerance * np.abs(wanted).max())
    where = ", ".join(str(index) for index in wrong[0])
    yield f"is wrong in {len(wrong)} of {values.size} places, the first at index {where}"
