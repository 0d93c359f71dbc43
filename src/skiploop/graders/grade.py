"""The word of every grader: its verdict."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grade:
    """The verdict on one text.

    Attributes:
        correct: True, False, or None if the text could not be graded, which never counts as
            wrong.
        answer: The answer that was extracted from the text, empty if there was none. Spellings
            that the grader takes for equal are one, so that answers can be counted.
        reason: Why, where it is not obvious, such as "no box" or "over 5 s"; else empty.
    """

    correct: bool | None
    answer: str = ""
    reason: str = ""
