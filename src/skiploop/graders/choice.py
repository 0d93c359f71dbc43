"""Verdicts on multiple choice, where the answer is the text of one of the choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skiploop.graders.grade import Grade
from skiploop.graders.number import read_number
from skiploop.graders.spelling import cased, exact_form, folded


def grade_choice(text: str, choices: Sequence[str], gold: str) -> Grade:
    """Return whether the text is the right choice.

    A text that is a choice to the letter is that choice. Else a full stop at the end, case, and
    the way a number is written do not matter, as far as one choice only is left; if several are,
    the verdict is None. A letter or number that stands for a choice does not count unless it is
    itself one of the choices.
    """
    found = next(filter(None, _readings(text, choices)), [])
    if not found:
        return Grade(correct=False, reason="not one of the choices")
    if len(found) > 1:
        return Grade(None, text.strip(), f"may be {' or '.join(map(repr, found))}")
    return Grade(exact_form(found[0]) == exact_form(gold), found[0])


def _readings(text: str, choices: Sequence[str]) -> Iterator[list[str]]:
    """Yield the choices that a text may be, the strictest reading first."""
    for form in (exact_form, cased, folded):
        wanted = form(text)
        yield [choice for choice in choices if wanted and form(choice) == wanted]
    number = read_number(text)
    if number is not None:
        numbers = [(choice, read_number(choice)) for choice in choices]
        yield [choice for choice, other in numbers if other and other.equals(number)]
