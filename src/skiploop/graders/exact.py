"""Strict comparison of an answer with a number or a text; no rounding, no guessing.

Numbers are compared exactly, so `0.1` equals `1/10` and `0.3333` does not equal `1/3`. What a
number is, `number` decides for all graders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from fractions import Fraction
from functools import lru_cache

from skiploop.errors import DataError
from skiploop.graders.grade import Grade
from skiploop.graders.number import (
    MAX_NUMBER_LENGTH,
    Number,
    first_number,
    is_over,
    read_number,
    read_quantity,
)
from skiploop.graders.spelling import cased, folded

_INTEGER = re.compile(r"[+-]?[0-9]+\.?")
_INTEGER_BEGINNING = re.compile(r"\s*([+-]?)([0-9]*)(\.?\s*)")
_MINUS_SIGNS = str.maketrans({"\N{MINUS SIGN}": "-"})

_gold_number = lru_cache(2**14)(read_number)  # these two are asked for with every answer
_gold_text = lru_cache(2**14)(folded)


def parse_number(text: str) -> Fraction | int | None:
    """Return the number that the whole text is, None if it is not exactly one number.

    Example:
        >>> parse_number(" 1,234. "), parse_number("12 and 13")
        (1234, None)
    """
    number = _gold_number(text)
    return None if number is None else number.value


def grade_number(text: str, gold: str) -> Grade:
    """Return whether the whole text is one number, with or without a unit, equal to the gold one.

    Raises:
        DataError: The gold answer is not a number.
    """
    return _compare(read_quantity(text), gold, "not exactly one number")


def grade_first_number(text: str, gold: str) -> Grade:
    """Return whether the first number in the first line of the text equals the gold answer.

    For answers in sentences, such as `39 pieces` or `$18`. Where the text does not tell which
    number it means (`5-3`, `12,34`) and the gold answer is one of them, the verdict is None.

    Raises:
        DataError: The gold answer is not a number.
    """
    return _compare(first_number(_first_line(text)), gold, "no number")


def rules_out_first_number(beginning: str, gold: str) -> bool:
    r"""Whether `grade_first_number` finds every text wrong that starts with this beginning.

    That is known once the first number, or the first line without one, is complete.

    Example:
        >>> [rules_out_first_number(text, "67") for text in ("$67 a", " 7 a", " 7 at", "7", "no\n")]
        [False, False, True, False, True]
    """
    text = beginning.lstrip()
    line = _first_line(text)
    is_complete = len(line) < len(text) or is_over(line)
    return is_complete and grade_first_number(line, gold).correct is False


def _compare(found: Number | None, gold: str, otherwise: str) -> Grade:
    expected = _gold_number(gold)
    if expected is None:
        raise DataError(f"gold answer {gold[:40]!r} is not a number: grade it as text")
    if found is None:
        return Grade(correct=False, reason=otherwise)
    correct = found.equals(expected)
    reason = "the text may mean several numbers" if correct is None else ""
    return Grade(correct, str(found), reason)


def _first_line(text: str) -> str:
    """Return the first line that is not empty, as it is; the text may go on after it."""
    lines = text.lstrip().splitlines()
    return lines[0] if lines else ""


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
    return Grade(found == value, str(found))


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


def grade_text(text: str, gold: str, others: Collection[str] = ()) -> Grade:
    """Return whether the first line of the text is the gold answer, as `folded` compares.

    Args:
        text: What the model wrote.
        gold: The right answer.
        others: Texts that are something else although they may differ from the gold answer in
            case alone.
    """
    answer = _first_line(text).strip()
    is_other = bool(others) and cased(answer) in map(cased, others)
    found = folded(answer)
    is_right = found != "" and found == _gold_text(gold) and not is_other
    return Grade(is_right, cased(answer) if others else found)


def rules_out_text(beginning: str, gold: str) -> bool:
    """Whether `grade_text` finds every text wrong that starts with this beginning.

    Example:
        >>> [rules_out_text(text, "The mall") for text in (" the", " the Mall.", " the park")]
        [False, False, True]
    """
    text = beginning.lstrip()
    line = _first_line(text)
    if len(line) < len(text):
        return not grade_text(text, gold).correct
    so_far = folded(line)
    while so_far and unicodedata.combining(so_far[-1]):  # another mark may come before this one
        so_far = so_far[:-1]
    return not _gold_text(gold).startswith(so_far)
