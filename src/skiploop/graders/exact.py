"""Strict comparison of an answer with a number or a text; no rounding, no guessing.

Numbers are compared as exact fractions, so `0.1` equals `1/10` and `0.3333` does not equal `1/3`.
"""

from __future__ import annotations

import re
from fractions import Fraction

from skiploop.errors import DataError
from skiploop.tasks.base import Grade

MAX_NUMBER_LENGTH = 100
"""Characters beyond which a text is not read as a number; bounds the cost of one verdict."""

_NUMBER = r"[+-]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)?(?:\.[0-9]+)?"
_NUMBER_TEXT = re.compile(rf"({_NUMBER})(?:\s*/\s*([0-9]+))?\.?")
_FIRST_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?"
)
_MINUS_SIGNS = str.maketrans({"\N{MINUS SIGN}": "-"})


def parse_number(text: str) -> Fraction | None:
    """Return the number that the whole text is, or None if it is not exactly one number.

    Accepted, with spaces around: integers (`12`, `-12`, `+12`), thousands in groups of three
    (`1,234`), decimals (`0.5`, `.5`), fractions with an integer below (`1/2`) and one full stop
    at the end (`12.`). Everything else is no number: units, currency signs, percent signs,
    exponents, a second number, a division by zero, more than `MAX_NUMBER_LENGTH` characters.

    Example:
        >>> parse_number(" 1,234. "), parse_number("12 and 13")
        (Fraction(1234, 1), None)
    """
    text = text.strip().translate(_MINUS_SIGNS)
    match = _NUMBER_TEXT.fullmatch(text) if len(text) <= MAX_NUMBER_LENGTH else None
    if not match or not match[1].strip("+-"):
        return None
    divisor = int(match[2] or 1)
    return Fraction(match[1].replace(",", "")) / divisor if divisor else None


def grade_number(text: str, gold: str) -> Grade:
    """Return whether the whole text is one number equal to the gold answer.

    Args:
        text: What the model wrote; the rules are those of `parse_number`.
        gold: A number by the same rules.

    Raises:
        DataError: The gold answer is not a number.
    """
    expected = parse_number(gold)
    if expected is None:
        raise DataError(f"gold answer {gold[:40]!r} is not a number: grade it as text")
    number = parse_number(text)
    if number is None:
        return Grade(correct=False, reason="not exactly one number")
    return Grade(number == expected, text.strip())


def grade_first_number(text: str, gold: str) -> Grade:
    """Return whether the first number in the first line of the text equals the gold answer.

    For answers in sentences, such as `39 pieces` or `$18`. A fraction counts as one number only
    without spaces.

    Raises:
        DataError: The gold answer is not a number.
    """
    lines = text.strip().translate(_MINUS_SIGNS).splitlines()
    match = _FIRST_NUMBER.search(lines[0]) if lines else None
    if match is None:
        return grade_number("", gold)
    return grade_number(match[0], gold)


def normalize_text(text: str) -> str:
    """Return the text in lower case, one space between words, without a full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(".").rstrip()


def grade_text(text: str, gold: str) -> Grade:
    """Return whether the first line of the text is the gold answer, after `normalize_text`."""
    lines = text.strip().splitlines()
    answer = lines[0].strip() if lines else ""
    return Grade(bool(answer) and normalize_text(answer) == normalize_text(gold), answer)
