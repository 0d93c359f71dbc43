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
_GOES_ON = "0123456789.,/"  # what may follow a part of a number
_INTEGER = re.compile(r"[+-]?[0-9]+\.?")
_INTEGER_BEGINNING = re.compile(r"\s*([+-]?)([0-9]*)(\.?\s*)")
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


def grade_integer(text: str, gold: str) -> Grade:
    """Return whether the whole text is one integer equal to the gold answer.

    Accepted, with spaces around: digits with a sign before and one full stop after them.

    Raises:
        DataError: The gold answer is not an integer.
    """
    value = _read_integer(gold)
    if value is None:
        raise DataError(f"gold answer {gold[:40]!r} is not an integer: grade it as a number")
    found = _read_integer(text)
    if found is None:
        return Grade(correct=False, reason="not exactly one integer")
    return Grade(found == value, text.strip())


def rules_out_integer(beginning: str, gold: str) -> bool:
    """Whether `grade_integer` finds every text wrong that starts with this beginning.

    Example:
        >>> [rules_out_integer(text, "67") for text in ("6", " 067.", "7", "670", "67,")]
        [False, False, True, True, True]
    """
    value = _read_integer(gold)
    match = _INTEGER_BEGINNING.fullmatch(beginning.translate(_MINUS_SIGNS))
    if value is None:
        raise DataError(f"gold answer {gold[:40]!r} is not an integer: grade it as a number")
    if match is None:
        return True
    sign, digits, rest = match.groups()
    if not digits:
        return bool(rest) or (sign == "-" and value > 0) or (sign == "+" and value < 0)
    if value and (sign == "-") != (value < 0):
        return True
    wanted, found = str(abs(value)).lstrip("0"), digits.lstrip("0")
    return found != wanted if rest else not wanted.startswith(found)


def _read_integer(text: str) -> int | None:
    text = text.strip().translate(_MINUS_SIGNS)
    is_integer = len(text) <= MAX_NUMBER_LENGTH and _INTEGER.fullmatch(text)
    return int(text.rstrip(".")) if is_integer else None


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


def rules_out_first_number(beginning: str, gold: str) -> bool:
    r"""Whether `grade_first_number` finds every text wrong that starts with this beginning.

    That is known once the first number, or the first line without one, is complete.

    Example:
        >>> [rules_out_first_number(text, "67") for text in ("$67 a", " 7 a", "7", "7,", "no\n")]
        [False, True, False, False, True]
    """
    text = beginning.lstrip().translate(_MINUS_SIGNS)
    line = text.splitlines()[0] if text else ""
    match = _FIRST_NUMBER.search(line)
    is_over = match is not None and line[match.end() :][:1] not in _GOES_ON
    return (is_over or len(line) < len(text)) and not grade_first_number(beginning, gold).correct


def normalize_text(text: str) -> str:
    """Return the text in lower case, one space between words, without a full stop at the end."""
    return " ".join(text.casefold().split()).rstrip(".").rstrip()


def grade_text(text: str, gold: str) -> Grade:
    """Return whether the first line of the text is the gold answer, after `normalize_text`."""
    lines = text.strip().splitlines()
    answer = lines[0].strip() if lines else ""
    return Grade(bool(answer) and normalize_text(answer) == normalize_text(gold), answer)


def rules_out_text(beginning: str, gold: str) -> bool:
    """Whether `grade_text` finds every text wrong that starts with this beginning.

    Example:
        >>> [rules_out_text(text, "The mall") for text in (" the", " the Mall.", " the park")]
        [False, False, True]
    """
    text = beginning.lstrip()
    line = text.splitlines()[0] if text else ""
    if len(line) < len(text):
        return not grade_text(text, gold).correct
    return not normalize_text(gold).startswith(normalize_text(line))
