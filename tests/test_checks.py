"""Self-checks: every solution passes, every stub and every wrong answer fails with a message that tells no answer."""

import contextlib
import functools
import io
import re
import time

import numpy as np
import pytest
import torch

from qpatch.book.exercises import LEVELS, all_exercises, answers
from qpatch.checks import CHECKS, check
from qpatch.checks.compare import AnswerError, call, same, same_function, same_set
from qpatch.storage import PROJECT

EXERCISES = {exercise.label: exercise for exercise in all_exercises()}
CHECKED = [label for label, exercise in EXERCISES.items() if exercise.check]
LIMIT = 60  # seconds an exercise
# Where three times the answer plus one would be right as well.
OTHERWISE_WRONG = {"ex-order": np.float32(0)}


def test_there_are_enough_exercises_at_every_level():
    levels = [exercise.level for exercise in EXERCISES.values()]
    assert len(EXERCISES) == len(levels) >= 24
    assert all(levels.count(level) >= 5 for level in LEVELS)


def test_every_check_belongs_to_an_exercise_and_the_other_way_round():
    assert set(CHECKS) == set(CHECKED)


@functools.cache
def _given(label: str) -> tuple[dict, float]:
    """The names that the given code binds, in a namespace of its own, and the processor time."""
    return _run(EXERCISES[label].given, {})


@functools.cache
def _solved(label: str) -> tuple[dict, float]:
    """The names after given code and solution, and the processor time of both."""
    names, seconds = _given(label)
    solved, more = _run(EXERCISES[label].solution, dict(names))
    return solved, seconds + more


def _run(code: str, names: dict) -> tuple[dict, float]:
    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, names)
    return names, time.process_time() - began


@pytest.fixture(autouse=True)
def stored_results(monkeypatch):
    """Exercises read the results of the repository, not those of a test."""
    monkeypatch.delenv("QPATCH_RESULTS")


def test_answers_are_what_the_check_asks_for():
    assert answers(EXERCISES["ex-steps"]) == {"steps": 3000, "moving": 2700}
    assert answers(EXERCISES["ex-scale"]) == {}


@pytest.mark.parametrize("label", EXERCISES)
def test_the_solution_passes_its_check_in_time(label, capsys):
    names, seconds = _solved(label)
    began = time.process_time()
    exec(EXERCISES[label].check, dict(names))
    assert seconds + time.process_time() - began < LIMIT
    assert capsys.readouterr().out == (f"{label}: correct\n" if label in CHECKED else "")


@pytest.mark.parametrize("label", CHECKED)
def test_the_stub_is_not_done_yet(label):
    exercise, names = EXERCISES[label], dict(_given(label)[0])
    exec(exercise.stub, names)
    with pytest.raises(AnswerError, match=f"^{label}: not done yet"):
        exec(exercise.check, names)


@pytest.mark.parametrize("label", CHECKED)
def test_each_wrong_answer_fails_and_the_message_does_not_tell_the_right_one(label):
    names = _solved(label)[0]
    wanted = re.search(rf'check\("{label}", (.*)\)', EXERCISES[label].check)[1].split(", ")
    answers = [names[name] for name in wanted]
    for place in range(len(answers)):
        given = list(answers)
        given[place] = OTHERWISE_WRONG.get(label, _wrong(answers[place]))
        with pytest.raises(AnswerError) as caught:
            check(label, *given)
        for value in _values(answers[place]):
            message = str(caught.value).removeprefix(label)
            for spelling in {f"{value:g}", f"{value:.3g}", repr(value)}:
                assert not re.search(rf"(?<![\d.]){re.escape(spelling)}(?![\d.])", message) or len(spelling) == 1


def _wrong(answer):
    if callable(answer):
        return lambda *arguments: _wrong(answer(*arguments))
    if isinstance(answer, tuple):
        return tuple(_wrong(part) for part in answer)
    return 3 * np.asarray(answer) + 1


def _values(answer) -> list[float]:
    return [] if callable(answer) else np.unique(np.asarray(answer, float)).tolist()[:50]


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (2.0, 1.0, "twice what it should be"),
        (0.5, 1.0, "half of what it should be"),
        (-0.3, 0.3, "wrong sign"),
        (30.0, np.radians(30.0), "in degrees; give radians"),
        (98.0, 0.98, "a percentage"),
        (np.sqrt(2) * 3, 3.0, "root of two"),
        (7, 6, "off by one"),
        (6.25, 2.5, "square or the root"),
        (5.1, 3.0, "too large"),
        ([2.5], [3.2], "too small"),
        ([1.0, 2.0, 4.0], [4.0, 2.0, 1.0], "opposite order"),
        ([2.0, 4.0, 1.0], [4.0, 2.0, 1.0], "another order"),
        ([1.5, 2.5, 4.5], [1.0, 2.0, 4.0], "same amount everywhere"),
        ([1.0, 2.0, 5.0], [1.0, 2.0, 4.0], r"wrong in 1 of 3 places, the first at index 2$"),
        ([[1.0, 3.0], [2.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]], "transpose"),
        (np.ones((2, 3)), np.ones((3, 2)), r"shape \(2, 3\); it should have \(3, 2\), which is its transpose"),
        (np.ones(6), np.ones((3, 2)), "reshape or flatten"),
        (np.ones(5), np.ones((3, 2)), r"shape \(5,\)"),
        ([1.0, 1j], [1.0, -1j], "complex conjugate"),
        (np.exp(0.3j) * np.array([0.6, 0.8j]), [0.6, 0.8j], "common factor"),
        (float("nan"), 1.0, "not finite"),
        ("1.5", 1.0, "of type str"),
        ([[1], [1, 2]], 1.0, "of type list"),
        (None, 1.0, "does the function end with `return`"),
        (..., 1.0, "not done yet"),
    ],
)
def test_what_is_wrong_is_recognised(answer, expected, message):
    with pytest.raises(AnswerError, match=message):
        same(answer, expected)


def test_right_answers_of_any_kind_pass_in_silence(capsys):
    same(1.0 + 1e-9, 1.0)
    same([3], 3)
    same(torch.tensor([1.0, 2.0], requires_grad=True), np.array([1.0, 2.0]))
    same(torch.tensor([1j]).conj(), [-1j])
    same_set((2, 1.0, 1), [1, 2])
    same_function(lambda x: 2 * x, lambda x: x + x, [(1.0,), (2.5,)])
    assert capsys.readouterr().out == ""


def test_sets_tell_what_does_not_belong_but_not_what_is_missing():
    with pytest.raises(AnswerError, match=r"holds 4, 7, which does not belong"):
        same_set([1, 4, 7], [1, 2])
    with pytest.raises(AnswerError, match="something is missing") as caught:
        same_set([1], [1, 2])
    assert "2" not in str(caught.value)


def test_functions_that_are_none_or_raise():
    with pytest.raises(AnswerError, match="your function is of type int; give a function"):
        call(3, 1.0)
    with pytest.raises(AnswerError, match="your function raised ZeroDivisionError: "):
        call(lambda x: x / 0, 1.0)
    with pytest.raises(AnswerError, match=r"the value of your function at \(0.5\) is None"):
        same_function(lambda x: None, lambda x: x, [(0.5,)])


def test_functions_may_do_with_their_arguments_as_they_like():
    """What they return is held against the value at the arguments as they were."""

    def halved(values):
        values /= 2
        return 2 * values

    for given in (np.ones(3), torch.ones(3)):
        same_function(halved, lambda values: values, [(given,)])
        with pytest.raises(AnswerError):
            same_function(lambda values: halved(values) * 0 + values, lambda values: values, [(given,)])


def test_unknown_labels_and_numbers_of_answers_are_refused():
    with pytest.raises(KeyError, match="did you mean 'ex-strides'"):
        check("ex-stride", 1)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        check("ex-strides", [1])


def test_a_notebook_shows_the_message_without_traceback():
    assert AnswerError("ex-a: too small")._render_traceback_() == ["ex-a: too small"]


def test_the_messages_that_the_book_shows_are_real():
    adam, hessian = _solved("ex-adam")[0]["adam"], _solved("ex-hessian-by-hand")[0]["hessian"]
    mistakes = {
        "ex-adam": [lambda gradients, rates: -adam(gradients, rates)],
        "ex-hessian-by-hand": [lambda *theta: -hessian(*theta), (0, 0)],
        "ex-ring-signs": [...],
    }
    page = (PROJECT / "book" / "teach" / "students.md").read_text()
    shown = re.search(r"```text\n(.*?)```", page, flags=re.DOTALL)[1].splitlines()
    assert len(shown) == len(mistakes)
    for message, (label, given) in zip(shown, mistakes.items(), strict=True):
        with pytest.raises(AnswerError) as caught:
            check(label, *given)
        assert str(caught.value) == message
