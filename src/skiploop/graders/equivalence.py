"""Mathematical equality by math-verify; unbounded cost, so only called in a grading process."""

from __future__ import annotations

import logging
import re
import unicodedata

from math_verify import LatexExtractionConfig, parse, verify
from sympy import Basic, Float, MatrixBase, Rational

from skiploop.graders.grade import Grade
from skiploop.graders.spelling import plain, unspaced

_POWERS = re.compile(r"[\w.]+(?:\*\*[\w.]+)+")
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞]")
_MIXED = re.compile(r"(?<![\d.])(\d+)\s+(\d+)\s?/\s?(\d+)(?![\d.])")
_WORD = re.compile(r"[a-zß-ɏ\u0300-\u036f]{2,}")
_SIDE_BY_SIDE = re.compile(r"(?<![a-z\d.])(?<![a-z] )[\d.]+\s+[\d.]*\d")
_TIME = re.compile(r"(?<!\d)\d{1,2}(?::[0-5]\d){1,2}(?!\d)")


def grade_equivalent(answer: str, gold: str) -> Grade:
    r"""Return whether an answer equals the gold answer, both in LaTeX or plain text.

    Equal texts are equal: case, spaces, `$` and `\text{}` do not matter. A gold answer that is a
    word has no other form. Times such as `12:00` are equal if their parts are. Everything else is
    math-verify's verdict, with decimals as exact fractions and without its own time limits: the
    grading process is stopped from outside.
    """
    found, expected = unspaced(answer), unspaced(gold)
    if found == expected:
        return Grade(bool(expected), answer)
    if _WORD.fullmatch(expected):
        return Grade(correct=False, answer=answer)
    if _TIME.search(expected) and _TIME.sub(":", found) == _TIME.sub(":", expected):
        return _grade_times(_times(found), _times(expected), answer)
    if _SIDE_BY_SIDE.search(_latex(answer)):
        is_list = not any(character.isalpha() for character in found)
        reason = "" if is_list else "two numbers side by side"
        return Grade(False if is_list else None, answer, reason)
    parsed_gold = _parse(gold)
    if not parsed_gold:
        return Grade(None, answer, f"gold answer {gold[:40]!r} cannot be parsed")
    is_equal = verify(parsed_gold, _parse(answer), timeout_seconds=None, raise_on_error=True)
    return Grade(bool(is_equal), answer)


def _parse(text: str) -> list[object]:
    """Return the expressions that the whole text may stand for."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns about the missing limits
    found = parse(f"${_latex(text)}$", [LatexExtractionConfig()], parsing_timeout=None)
    return [_exact(one) for one in found]


def _latex(text: str) -> str:
    """Return the text with fractions and powers as LaTeX has them, without dollars around."""
    text = plain(_VULGAR_FRACTION.sub(_latex_fraction, text)).strip().strip("$")
    return _POWERS.sub(_latex_powers, _MIXED.sub(r"\1\\frac{\2}{\3}", text))


def _latex_fraction(match: re.Match[str]) -> str:
    above, _, below = unicodedata.normalize("NFKC", match[0]).partition("\N{FRACTION SLASH}")
    return rf"\frac{{{above}}}{{{below}}}"


def _exact(expression: object) -> object:
    """Return an expression with fractions in place of decimals, which math-verify rounds."""
    if not isinstance(expression, (Basic, MatrixBase)):
        return expression
    return expression.xreplace({one: Rational(str(one)) for one in expression.atoms(Float)})


def _latex_powers(match: re.Match[str]) -> str:
    """Return `2**3**4`, which is no LaTeX, as `2^{3^{4}}`."""
    numbers = match[0].split("**")
    return "^{".join(numbers) + "}" * (len(numbers) - 1)


def _times(text: str) -> list[tuple[int, ...]]:
    return [tuple(int(part) for part in time.split(":")) for time in _TIME.findall(text)]


def _grade_times(found: list[tuple[int, ...]], gold: list[tuple[int, ...]], answer: str) -> Grade:
    """Compare times part by part; `1:20` and `2:40` may also be meant as one ratio."""
    if found != gold and [len(time) for time in (*found, *gold)] == [2, 2]:
        (first, second), (gold_first, gold_second) = *found, *gold
        if second and gold_second and first * gold_second == gold_first * second:
            return Grade(None, answer, "the same ratio, another time")
    return Grade(found == gold, answer)
