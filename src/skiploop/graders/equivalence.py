"""Mathematical equality by math-verify; unbounded cost, so only called in a grading process."""

from __future__ import annotations

import logging
import re

from math_verify import LatexExtractionConfig, parse, verify

from skiploop.tasks.base import Grade

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}]*)\}")
_POWERS = re.compile(r"[\w.]+(?:\*\*[\w.]+)+")
_WORD = re.compile(r"[a-z]{2,}")


def grade_equivalent(answer: str, gold: str) -> Grade:
    r"""Return whether an answer equals the gold answer.

    Equal texts are equal: case, spaces, `$` and `\text{}` do not matter. A gold answer that is a
    word has no other form. Everything else is math-verify's verdict, without its own time limits:
    the grading process is stopped from outside.

    Args:
        answer: LaTeX or plain text.
        gold: The right answer.
    """
    expected = _plain(gold)
    if _plain(answer) == expected:
        return Grade(bool(expected), answer)
    if _WORD.fullmatch(expected):
        return Grade(correct=False, answer=answer)
    parsed_gold = _parse(gold)
    if not parsed_gold:
        return Grade(None, answer, f"gold answer {gold[:40]!r} cannot be parsed")
    is_equal = verify(parsed_gold, _parse(answer), timeout_seconds=None, raise_on_error=True)
    return Grade(bool(is_equal), answer)


def _parse(text: str) -> list[object]:
    """Return the expressions that the whole text may stand for."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns about the missing limits
    latex = f"${_POWERS.sub(_latex_powers, text.strip().strip('$'))}$"
    return list(parse(latex, [LatexExtractionConfig()], parsing_timeout=None))


def _latex_powers(match: re.Match[str]) -> str:
    """Return `2**3**4`, which is no LaTeX, as `2^{3^{4}}`."""
    numbers = match[0].split("**")
    return "^{".join(numbers) + "}" * (len(numbers) - 1)


def _plain(text: str) -> str:
    text = _TEXT_COMMAND.sub(r"\1", text.strip().strip("$"))
    return "".join(text.casefold().split()).rstrip(".")
