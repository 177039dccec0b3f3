"""Self-checks: every solution passes, every stub and every wrong answer fails with a message that tells no answer."""

import contextlib
import functools
import io
import re
import time

import numpy as np
import pytest
import torch

from book.checks import CHECKS, check
from book.checks.compare import AnswerError, call, same, same_function, same_set, to_number
from book.site.exercises import LEVELS, all_exercises, answers
from qpatch.files import PROJECT

ALL = all_exercises()
EXERCISES = {exercise.label: exercise for exercise in ALL}
CHECKED = [label for label, exercise in EXERCISES.items() if exercise.check]
LIMIT = 60  # seconds an exercise
# Where three times the answer plus one would be right as well.
OTHERWISE_WRONG = {"ex-order": np.float32(0)}


def test_there_are_enough_exercises_at_every_level_and_no_two_of_one_label():
    levels = [exercise.level for exercise in ALL]
    assert len(EXERCISES) == len(ALL) >= 24
    assert set(levels) == set(LEVELS)
    assert all(levels.count(level) >= 5 for level in LEVELS)


def test_every_check_belongs_to_an_exercise_and_the_other_way_round():
    assert set(CHECKS) == set(CHECKED)


@pytest.mark.parametrize("label", CHECKED)
def test_every_answer_is_named_in_the_question(label):
    exercise = EXERCISES[label]
    words = "\n".join(lines for kind, lines in exercise.question if kind == "text")
    names = re.search(rf'check\("{label}", (.*)\)', exercise.check)[1].split(", ")
    assert all(re.search(rf"`{name}\b", words) for name in names)


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
        (0.036, 0.03622, "is it rounded"),
        ([0.05, 0.04], [0.0489, 0.0401], "is it rounded"),
        ([0.05, 0.04], [0.0489, 0.0421], "wrong in 2 of 2 places"),
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


def test_a_slip_is_asked_back_only_where_it_is_one():
    slips = {"is it the diameter?": 6.0}
    with pytest.raises(AnswerError, match=r"the answer is not right: is it the diameter\?$"):
        same(6.0, 3.0, slips=slips)
    same(6.0, 6.0, slips=slips)
    with pytest.raises(AnswerError, match="too large"):
        same(7.0, 3.0, slips=slips)


def test_arguments_are_shown_as_far_as_they_are_short():
    given = (0.5, 3, np.array([1.0, 1 / 3]), [[1, 2], [3, 4]], torch.ones(7, 2), len)
    with pytest.raises(AnswerError) as caught:
        same_function(lambda *arguments: 5.0, lambda *arguments: 3.0, [given])
    shown = "0.5, 3, [1, 0.3333], [[1, 2], [3, 4]], an array of shape (7, 2), a function"
    assert str(caught.value) == f"the value of your function at ({shown}) is too large"


def test_one_number_is_taken_from_anything_that_holds_one():
    assert to_number(np.array([[2.5]])) == to_number(torch.tensor(2.5)) == to_number([2.5]) == 2.5
    with pytest.raises(AnswerError, match=r"the ratio has the shape \(2,\); give one number"):
        to_number([1.0, 2.0], "the ratio")
    with pytest.raises(AnswerError, match="the answer is complex; give a real number"):
        to_number(1 + 1j)


# What readers took for the answer, and what they should be asked back.
MISTAKES = [
    ("ex-folds", (lambda means, sizes: (means.T * sizes).sum() / sizes.sum(),), r"\[4, 8\]\].* has the shape \(\)"),
    ("ex-folds", (lambda means, sizes: np.mean(means, axis=0),), "do all parts count alike"),
    (
        "ex-block",
        (lambda x, y: np.eye(2 ** len(x))[0] * np.nan,),
        r"\(\[.*\], \[.*\]\) holds values that are not finite",
    ),
    ("ex-ring-signs", (lambda n: _chain(n, ring=False),), "closes the ring"),
    ("ex-ring-signs", (lambda n: np.abs(_chain(n)) if n > 2 else _chain(n),), r"at \(4\) is wrong"),
    ("ex-ring-signs", (lambda n: _chain(n) if n > 2 else _chain(n, ring=False),), r"\(0, 1\) and \(1, 0\)"),
    ("ex-error-bar", (2.2, 0.9), "is it rounded"),
    ("ex-noise", (np.array([0.2, 0.3]),), r"shape \(2,\); give one number"),
    ("ex-noise", (0.3,), "taken with both signs"),
    ("ex-noise", (1.3,), "too large; .* taken with both signs"),
    ("ex-noise", (0.75,), "too small; .* taken with both signs"),
    ("ex-steps", (3000, 2695), "is too small"),
    ("ex-steps", (3000, 2699), "is off by one"),
    ("ex-difference-step", (1e-4,), "too large"),
    ("ex-difference-step", (1e-7,), "too small"),
    ("ex-shift", (lambda value, t: (value(t + 1e-5) - value(t - 1e-5)) / 2e-5,), "is this a finite difference"),
    ("ex-order", (np.float32("nan"), np.float32(1), np.float32(1)), "one of the numbers is not finite"),
    ("ex-copies", (lambda width: np.random.default_rng(0).uniform() ** 9,), "are the draws too few"),
    ("ex-parting", ([1e-6] + 12 * [1.0],), "too large for this change"),
    ("ex-parting", (13 * [1e-12],), "too small for this change"),
    ("ex-luck", (lambda a: 8 / a**2,), "whole number of replicas"),
    ("ex-parting-rate", (lambda error, factor, bar: np.log(bar / error) / np.log(factor),), "whole number of epochs"),
    ("ex-order", (np.float32(1e38), np.float32(3e38), np.float32(1)), "overflows"),
    ("ex-rate", ([1, 2, 3], [1, 2, 3]), "with_own_rate is wrong in 3 of 3 places"),
    ("ex-seeds", ([[4, 5, 6], [1, 2, 3]], 1.0, 3.0), "the column of seed 1 is wrong"),
]


def _chain(n_qubits: int, ring: bool = True) -> np.ndarray:
    bits = np.indices((2,) * n_qubits).reshape(n_qubits, -1)
    pairs = [bits[i] * bits[(i + 1) % n_qubits] for i in range(n_qubits if ring else n_qubits - 1)]
    return 1 - 2 * (np.sum(pairs, axis=0) % 2)


def _y_first(theta1: float, theta2: float) -> np.ndarray:
    """RX times RY on |0>, written out: RY acts first."""
    (c1, c2), (s1, s2) = np.cos([theta1 / 2, theta2 / 2]), np.sin([theta1 / 2, theta2 / 2])
    return np.array([c1 * c2 - 1j * s1 * s2, c1 * s2 - 1j * s1 * c2])


def _walk_shares(power: int = 2, centred: bool = True) -> np.ndarray:
    """The first two shares of a random walk by its singular values, as a reader takes them."""
    walk = np.random.default_rng(5).normal(size=(51, 10_000)).cumsum(axis=0)
    values = np.linalg.svd(walk - centred * walk.mean(axis=0), compute_uv=False) ** power
    return values[:2] / values.sum()


def _adam_with_epsilon_inside(gradients: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Adam's path for sqrt(v + eps) in the place of sqrt(v) + eps."""
    steps = np.arange(1, len(gradients) + 1)
    kept = [np.tril(decay ** (steps[:, None] - steps)) * (1 - decay) for decay in (0.9, 0.999)]
    mean, square = kept[0] @ gradients / (1 - 0.9**steps), kept[1] @ gradients**2 / (1 - 0.999**steps)
    return -np.cumsum(rates * mean / np.sqrt(square + 1e-8))


@pytest.mark.parametrize(("label", "given", "message"), MISTAKES)
def test_mistakes_of_readers_are_named(label, given, message):
    with pytest.raises(AnswerError, match=message):
        check(label, *given)


def test_mistakes_on_the_way_to_a_right_answer_are_named():
    """Right answers with one thing wrong in them."""
    rate, seeds, undo = _solved("ex-rate")[0], _solved("ex-seeds")[0], _solved("ex-undo")[0]
    ratio, areas = _solved("ex-four-seeds")[0]["least_ratio"], _solved("ex-ground")[0]["areas"]
    lanczos, block = _solved("ex-lanczos")[0]["lanczos"], _solved("ex-block")[0]["block"]
    published = _solved("ex-confounded")[0]["published"]

    def unnormalised(product, start, steps):
        alpha, beta = lanczos(product, start, steps)
        return alpha * (start @ start), beta

    def without_margin(side):
        return published[f"trajectory_pc{side}_max"] - published[f"trajectory_pc{side}_min"]

    plain = np.corrcoef(published["initial_lr"], published["depth"])[0, 1]
    state, hessian = _solved("ex-one-qubit")[0]["state"], _solved("ex-hessian-by-hand")[0]["hessian"]
    strides, variance = _solved("ex-strides")[0], _solved("ex-plateau")[0]["variance"]
    factor, largest = _solved("ex-same-size")[0]["factor"], _solved("ex-power")[0]["largest"]
    cases = [
        ("ex-one-qubit", (lambda a, b: state(2 * a, 2 * b),), "half the angle"),
        ("ex-one-qubit", (_y_first,), "The gate that acts first stands on the right"),
        ("ex-one-qubit", (lambda a, b: np.abs(state(a, b)) ** 2,), "are these probabilities"),
        ("ex-block", (lambda x, y: np.abs(block(x, y)) ** 2,), "are these probabilities"),
        ("ex-hessian-by-hand", (lambda *theta: hessian(*theta) * [[1, -1], [-1, 1]], (0, 0)), "sign off the diagonal"),
        ("ex-strides", (strides["strides"], np.sqrt(strides["numbers"])), "the number of patches a side"),
        ("ex-strides", (strides["strides"], (np.sqrt(strides["numbers"]) - 1) ** 2), "one patch short"),
        ("ex-random-walk", (_walk_shares(power=1),), "is it the squares that are summed"),
        ("ex-random-walk", (_walk_shares(centred=False),), "is the path's mean taken away"),
        ("ex-random-plane", (lambda path, axes: np.sum((path @ axes.T) ** 2) / np.sum(path**2),), "mean taken away"),
        ("ex-plateau", (lambda n, d: variance(n, d) ** 0.5,), "is it the standard deviation"),
        ("ex-plateau", (lambda n, d: 100 * variance(n, d),), "is the derivative taken of an output"),
        ("ex-same-size", (1 / factor,), "is the reciprocal of what it should be"),
        ("ex-power", (lambda *given: largest(*given) * 0.99,), "are these enough products"),
        ("ex-adam", (_adam_with_epsilon_inside,), "outside the root"),
        ("ex-rate", (rate["with_one_rate"], rate["with_own_rate"]), "changed places"),
        ("ex-seeds", (np.exp(seeds["logarithms"]), 1.0, 1.0), "not their logarithms"),
        ("ex-seeds", (seeds["logarithms"] / np.log(10), 1.0, 1.0), "natural logarithms"),
        ("ex-seeds", (seeds["logarithms"], 2 * seeds["spread"], seeds["step"]), "the spread is not"),
        ("ex-undo", (1 / undo["plain_fall"], undo["undone_fall"]), "4 patches over that of 9"),
        ("ex-four-seeds", (lambda n, s, p: np.log(ratio(n, s, p)),), "The ratio is asked for"),
        ("ex-four-seeds", (lambda n, s, p: ratio(n, s, 2 * p),), "p is two-sided"),
        ("ex-lanczos", (unnormalised,), "has q_1 length one"),
        ("ex-lanczos", (lambda *given: (lanczos(*given)[0], lanczos(*given)[1] ** 2),), "norm of a rest"),
        ("ex-ground", ((without_margin(1) * without_margin(2)).to_numpy(),), "is the margin missing"),
        ("ex-ground", (((without_margin(1) + 5) * (without_margin(2) + 5)).to_numpy(),), "a margin at both ends"),
        ("ex-ground", (1.01 * areas,), "is it rounded"),
        ("ex-confounded", (plain,), "are the logarithms missing"),
        ("ex-block", (lambda x, y: block(x, y) * _chain(len(x)),), "are the controlled-Z gates missing"),
    ]
    for label, given, message in cases:
        with pytest.raises(AnswerError, match=message):
            check(label, *given)


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
