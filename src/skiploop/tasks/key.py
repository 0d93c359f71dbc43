"""When two questions are one: the key that they share.

A question that comes twice, in train and in test, or in two folds, tells of itself what it should
be told by others. Two spellings of it do the same, and so does `7 + 12` for `12 + 7`. All tasks
use this one key, so a question stands in one split whichever task it comes through.
"""

from __future__ import annotations

import re
import unicodedata

from skiploop.graders.spelling import folded

_LOOSE = re.compile(r" (?=[.,;:?!%)\]}](?!\w)|(?:n't|'(?:s|d|m|re|ve|ll))\b)|(?<=[(\[{$]) ")
"""A space that only a tokenizer writes: before a mark, after a bracket."""

_OPEN_END = re.compile(r" ?= ?\??$")

_NUMBER = r"\d+(?:[.,]\d+)*"
_CALCULATION = re.compile(
    r"(?<![\w.,^+*/-])(?<![+*/^-] )"  # where no part of it was left behind
    rf"{_NUMBER}(?:(?: - | ?[+*/] ?){_NUMBER})+"
    r"(?!\w| ?[-+*/^(!])"
)
_SIGN = re.compile(r" ?([+*/]) ?")


def question_key(question: str) -> str:
    """Return one text for all spellings of a question, and for all orders of sums and products.

    Case, spaces, the Unicode form of characters, a full stop at the end and an open `=` do not
    count. Questions that have the key in common may still be different ones.

    Example:
        >>> question_key("Tom 's  CAT ate 3 , or 4 ?") == question_key("Tom's cat ate 3, or 4?")
        True
        >>> question_key("12 + 3 * 5 ="), question_key("5*3 + 12")
        ('12 + 3 * 5', '12 + 3 * 5')
    """
    text = _LOOSE.sub("", unicodedata.normalize("NFC", folded(question)))
    return _CALCULATION.sub(_in_order, _OPEN_END.sub("", text))


def _in_order(calculation: re.Match[str]) -> str:
    """Return a calculation without brackets with its terms, and the factors of each, sorted."""
    text = calculation[0]
    if not {"+", "*"} & set(text) and text.count(" - ") < 2:
        return text  # nothing to sort: 1/2 stays as it is
    terms = _SIGN.sub(r" \1 ", text).replace(" - ", " + -").split(" + ")
    ordered = sorted((term[0] == "-", _product(term.removeprefix("-"))) for term in terms)
    return "".join(f" {'-' if is_minus else '+'} {term}" for is_minus, term in ordered)[3:]


def _product(term: str) -> str:
    return " * ".join(sorted(term.split(" * ")))
