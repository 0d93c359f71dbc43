"""Verdicts on multiple choice, where the answer is the text of one of the choices."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.graders.exact import normalize_text
from skiploop.tasks.base import Grade


def grade_choice(text: str, choices: Sequence[str], gold: str) -> Grade:
    """Return whether the text is the right choice.

    Case, spaces and a full stop at the end do not matter. A letter or number that stands for a
    choice does not count unless it is itself one of the choices.

    Args:
        text: The choice that was picked or written.
        choices: All choices.
        gold: The right one.
    """
    answer = normalize_text(text)
    by_text = {normalize_text(choice): choice for choice in choices}
    if answer not in by_text:
        return Grade(correct=False, reason="not one of the choices")
    return Grade(answer == normalize_text(gold), by_text[answer])
