"""Verdicts on multiple choice, where the answer is the text of one of the choices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skiploop.graders.number import read_number
from skiploop.graders.spelling import cased, exact_form, folded
from skiploop.tasks.base import Grade

_SAME: tuple[Callable[[str, str], bool], ...] = (
    lambda text, choice: exact_form(text) == exact_form(choice),
    lambda text, choice: cased(text) == cased(choice) != "",
    lambda text, choice: folded(text) == folded(choice) != "",
    lambda text, choice: _is_same_number(text, choice),
)
"""When a text is a choice, the strictest first: the first that finds any choice decides."""


def grade_choice(text: str, choices: Sequence[str], gold: str) -> Grade:
    """Return whether the text is the right choice.

    A text that is a choice to the letter is that choice. Else a full stop at the end, case, and
    the way a number is written do not matter, as far as one choice only is left; if several are,
    the verdict is None. A letter or number that stands for a choice does not count unless it is
    itself one of the choices.

    Args:
        text: The choice that was picked or written.
        choices: All choices.
        gold: The right one.
    """
    for is_same in _SAME:
        found = [choice for choice in choices if is_same(text, choice)]
        if len(found) > 1:
            return Grade(None, text.strip(), f"may be {' or '.join(map(repr, found))}")
        if found:
            return Grade(exact_form(found[0]) == exact_form(gold), found[0])
    return Grade(correct=False, reason="not one of the choices")


def _is_same_number(text: str, choice: str) -> bool:
    number, other = read_number(text), read_number(choice)
    return number is not None and other is not None and number.equals(other) is True
