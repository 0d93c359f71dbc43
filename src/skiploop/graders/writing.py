"""One writing for all right answers that verdicts take for the same, to count them by."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.graders.number import read_number
from skiploop.graders.spelling import exact_form, folded


def one_writing(gold: str, choices: Sequence[str] = ()) -> str:
    """Return the number that a right answer is, or else its text without case.

    What is returned is itself a right answer. Units are left out: 20 is right for $20 and for €20.

    Args:
        gold: The right answer.
        choices: Those among which it is; where others would be written alike, it stays as it is.

    Example:
        >>> one_writing("2.0"), one_writing("Yes."), one_writing("A", ["A", "a"])
        ('2', 'yes', 'A')
    """
    number = read_number(gold)
    writing = str(number) if number else folded(gold)
    alike = {exact_form(choice) for choice in choices if one_writing(choice) == writing}
    return exact_form(gold) if len(alike) > 1 else writing
