"""Self-checks of the exercises: ``check("ex-strides", answer)`` says that an answer is right, or what is wrong with it.

No grading framework: a check prints one line, or raises `AnswerError` with a message that helps and does not tell the
answer. What an answer is held against is computed when it is needed, by other means than the solution where there are
any; see the modules beside this one.
"""

from __future__ import annotations

import difflib

from book.checks import circuits, curvature, landscapes, training
from book.checks.compare import NOT_DONE, AnswerError

CHECKS = circuits.CHECKS | training.CHECKS | curvature.CHECKS | landscapes.CHECKS


def check(label: str, *answers) -> None:
    """Hold the answers to an exercise against what they should be.

    Args:
        label: of the exercise, such as 'ex-strides'.
        answers: numbers, arrays, tensors or functions, as the exercise asks for.

    Raises:
        AnswerError: an answer is missing or wrong.
        KeyError: no exercise has this label; the message suggests the nearest one.
        TypeError: more or fewer answers than the exercise asks for.
    """
    if label not in CHECKS:
        near = difflib.get_close_matches(label, CHECKS, 1)
        raise KeyError(f"no exercise is called {label!r}; " + (f"did you mean {near[0]!r}?" if near else "see CHECKS"))
    try:
        if any(answer is ... for answer in answers):
            raise AnswerError(NOT_DONE)
        CHECKS[label](*answers)
    except AnswerError as error:
        raise AnswerError(f"{label}: {error}") from None
    print(f"{label}: correct")
