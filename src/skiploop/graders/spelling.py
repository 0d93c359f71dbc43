"""One spelling for characters that mean the same, so that graders compare what is meant."""

from __future__ import annotations

import re
import unicodedata

_BY_HAND = {
    "-": "\N{MINUS SIGN}\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{FIGURE DASH}\N{EN DASH}",
    "*": "\N{MULTIPLICATION SIGN}\N{DOT OPERATOR}\N{MIDDLE DOT}\N{BULLET OPERATOR}"
    "\N{ASTERISK OPERATOR}",
    "/": "\N{FRACTION SLASH}\N{DIVISION SLASH}\N{DIVISION SIGN}",
    "'": "\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
    "\N{MODIFIER LETTER APOSTROPHE}",
    ".": "\N{ARABIC DECIMAL SEPARATOR}",
    ",": "\N{ARABIC THOUSANDS SEPARATOR}",
    "%": "\N{ARABIC PERCENT SIGN}",
}
_AFTER_WHOLE = re.compile(r"(?<=[\d^])(?=[¼-¾⅐-⅞]|[⁰¹²³⁴-⁹]+\u2044|\\[dtc]?frac)")  # a mixed number
_SUPERSCRIPTS = re.compile("[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SMALL_FRACTION = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+\N{FRACTION SLASH}[₀₁₂₃₄₅₆₇₈₉]+")
_KEPT = ("<super>", "<sub>")  # 10² is not 102

_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\s*\{([^{}]*)\}")
_SPACES = re.compile(r"(?<!\d)\s+|\s+(?!\d)")  # all but those between digits

_PART = r"\s*(?:\{\s*([\d.]+)\s*\}|(\d))"
_FRACTION = re.compile(rf"(?<!\^\{{)\\[dtc]?frac{_PART}{_PART}(?!\s*\^)")
_LATEX = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|underline)\s*\{([^{}]*)\}", r"\1"),
        (r"\\(?:times|cdot)(?![a-zA-Z])", "*"),
        (r"\\div(?![a-zA-Z])", "/"),
        (r"\\!|\\(?:left|right)(?![a-zA-Z])", ""),
        (r"\\(?:[,;: ]|quad|approx(?![a-zA-Z]))", " "),
        (r"\\([$%])", r"\1"),
        (r"\{,\}", ","),
        (r"\^\s?\{\s?([+-]?\d+)\s?\}", r"^\1"),
    )
)


class _PlainCharacters(dict[int, str]):
    """What stands for a character, found when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = found = _plain_character(character)
        return found


def _plain_character(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    category, decomposition = unicodedata.category(character), unicodedata.decomposition(character)
    if category in ("Zs", "Cf"):  # spaces; marks without a width
        return " " if category == "Zs" else ""
    if decomposition.startswith("<fraction>"):
        return unicodedata.normalize("NFKC", character).replace("\N{FRACTION SLASH}", "/")
    if decomposition.startswith(_KEPT):
        return character
    return unicodedata.normalize("NFKC", character)


_PLAIN = _PlainCharacters(
    {ord(other): plain for plain, others in _BY_HAND.items() for other in others}
)


def plain(text: str) -> str:
    r"""Return the text with ASCII digits, signs and spaces, superscripts after `^`.

    Example:
        >>> plain("\N{MINUS SIGN}3½ \N{MULTIPLICATION SIGN} 10²³")
        '-3 1/2 * 10^23'
        >>> plain("\N{FULLWIDTH DIGIT ONE}\N{NARROW NO-BREAK SPACE}000")
        '1 000'
    """
    if text.isascii():
        return text
    text = _SMALL_FRACTION.sub(_normal_size, _AFTER_WHOLE.sub(" ", text))
    return _SUPERSCRIPTS.sub(_after_caret, text).translate(_PLAIN)


def without_latex(text: str) -> str:
    r"""Return the text with LaTeX for numbers, signs and spaces as plain characters.

    Example:
        >>> without_latex(r"1\frac{1}{2} \times 10^{3}\,\text{m}")
        '1 1/2 * 10^3 m'
    """
    if "\\" not in text and "{" not in text:
        return text
    text = _FRACTION.sub(_with_slash, _AFTER_WHOLE.sub(" ", text))
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    return text


def _with_slash(match: re.Match[str]) -> str:
    return f"{match[1] or match[2]}/{match[3] or match[4]}"


def _normal_size(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])


def _after_caret(match: re.Match[str]) -> str:
    return "^" + unicodedata.normalize("NFKC", match[0]).replace("\N{MINUS SIGN}", "-")


def exact_form(text: str) -> str:
    """Return the text with one space between words; composed and decomposed letters are one."""
    text = " ".join(text.split())
    return text if text.isascii() else unicodedata.normalize("NFD", text)


def cased(text: str) -> str:
    """Return the exact form without a full stop at the end."""
    return exact_form(text).rstrip(".").rstrip()


def folded(text: str) -> str:
    """Return the plain text without case, repeated spaces and a full stop at the end."""
    text = plain(text)
    if not text.isascii():
        text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return " ".join(text.casefold().split()).rstrip(".").rstrip()


def unspaced(text: str) -> str:
    """Return the folded text of a formula, without spaces, `$` and commands for plain text."""
    text = _TEXT_COMMAND.sub(r"\1", text.strip().strip("$"))
    return folded(_SPACES.sub("", plain(text)))
