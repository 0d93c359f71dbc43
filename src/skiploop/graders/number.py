r"""The one reader of numbers: what a text says, exactly, and whether it says more than that.

Where a number goes on in a way that is no number (`12,34`, `5-3`, `1:00`) the text does not tell
which number is meant; then all that it may be are kept beside each other, and nobody guesses.
`numeral` says what a number looks like.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from skiploop.graders.numeral import (
    BELONGS_TO_MORE,
    DIGIT,
    ENDS,
    GOES_ON,
    GOING_ON,
    MAX_BEFORE_DIGITS,
    NUMBER,
    PART,
    RUN,
    SCALES,
    SHARES,
    UNIT,
    WORD,
)
from skiploop.graders.spelling import plain, without_latex

MAX_NUMBER_LENGTH = 100
"""Characters beyond which a text is not read as a number; bounds the cost of one verdict."""

_MAX_EXPONENT = 1000
_MAX_POWER_BITS = 10_000
_SEPARATORS = str.maketrans("", "", ",'_ ")
_FULL_STOP = re.compile(r"\.?")


@dataclass(frozen=True, slots=True)
class Number:
    """What a text says about a number.

    Attributes:
        value: The number, None if the text does not tell which of `others` it is.
        others: Numbers that it may be as well: of "2 million" 2, of `5-3` 5 and 3.
        unit: `%` or a currency sign, empty without one.
    """

    value: Fraction | int | None
    others: frozenset[Fraction | int] = frozenset()
    unit: str = ""

    def __str__(self) -> str:
        """The number alone, the same text for every spelling; empty if it is not known."""
        return "" if self.value is None else str(self.value)

    def equals(self, gold: Number) -> bool | None:
        """Return whether both say the same, None if one of them may be meant otherwise.

        `50%` equals 50 and 0.5, but not `5000%`; `$20` equals 20, but not `€20`.
        """
        if self.unit and gold.unit and self.unit != gold.unit:
            return False
        found, wanted = self._meant(gold.unit), gold._meant(self.unit)
        if found & wanted:
            return True
        return None if (found | self.others) & (wanted | gold.others) else False

    def _meant(self, other_unit: str) -> frozenset[Fraction | int]:
        """Return what the number may stand for next to one with that unit."""
        if self.value is None:
            return frozenset()
        is_share = self.unit == "%" != other_unit
        return frozenset((self.value, Fraction(self.value) / 100) if is_share else (self.value,))


def read_number(text: str) -> Number | None:
    """Return the number that the whole text is, None if it is none or does not tell which.

    Example:
        >>> read_number("-$1,500.").value, read_number("2 2/3").value, read_number("12 and 13")
        (-1500, Fraction(8, 3), None)
    """
    return _read_whole(text, _FULL_STOP)


def read_quantity(text: str) -> Number | None:
    """Return the number that the whole text is but for a unit such as `km/h`; else as above.

    Example:
        >>> read_quantity("12 apples").value, read_quantity("3 square miles."), read_quantity("3x")
        (12, Number(value=3, others=frozenset(), unit=''), None)
    """
    return _read_whole(text, UNIT)


def first_number(text: str) -> Number | None:
    """Return the first number in a line of text, None if it has none.

    Example:
        >>> first_number("He has 1 1/2 cups, not 2").value
        Fraction(3, 2)
        >>> first_number("1:00").value is None
        True
    """
    line = plain(without_latex(text))
    match = _search(line)
    if match is None or match.end() - match.start() > MAX_NUMBER_LENGTH:
        return None
    before = line[max(0, match.start() - 20) : match.start()]
    goes_on = GOES_ON.match(line, match.end()) or BELONGS_TO_MORE.search(before)
    is_dash = _is_dash(match, before)
    number = None if goes_on or is_dash else _read(match)
    return number or Number(None, _all_readings(line, match))


def is_over(line: str) -> bool:
    """Whether the first number of a line is complete, whatever the line goes on with.

    Example:
        >>> [is_over(line) for line in ("7", "7 a", "7 apples", "7, 5", "7 x", "no")]
        [False, False, True, True, False, False]
    """
    line = plain(line)
    match = _search(line)
    if match is None or "\\" in line or "{" in line:
        return False
    word = WORD.match(line, match.end())
    if word is None:
        return ENDS.match(line, match.end()) is not None
    found = word[1].lower()
    return not any(one.startswith(found) or found.startswith(one) for one in GOING_ON)


def _search(line: str) -> re.Match[str] | None:
    digit = DIGIT.search(line)
    return digit and NUMBER.search(line, max(0, digit.start() - MAX_BEFORE_DIGITS))


def _is_dash(match: re.Match[str], before: str) -> bool:
    """Whether a minus stands after a word, where it may be a sign, a dash or an operation."""
    is_minus = match["sign"] is not None and match["sign"].lower() in ("-", "minus")
    return is_minus and match["gap"] != "" and before.rstrip()[-1:].isalnum()


def _read_whole(text: str, ending: re.Pattern[str]) -> Number | None:
    line = plain(without_latex(text)).strip()
    match = NUMBER.match(line) if len(line) <= MAX_NUMBER_LENGTH else None
    if match is None or not ending.fullmatch(line, match.end()):
        return None
    number = None if GOES_ON.match(line, match.end()) else _read(match)
    return number if number and number.value is not None else None


def _read(match: re.Match[str]) -> Number | None:
    """Return the number of a match, None if it is too large or no number, such as 1/0."""
    value = _mixed(match) if match["whole"] else _quotient(match)
    if value is None or (match["sign"] and match["late_sign"]):
        return None
    if (match["sign"] or match["late_sign"] or "+")[0] != "+":
        value = -value
    unit = "%" if match["percent"] else (match["currency"] or match["unit"] or "")[-1:]
    if match["scale"]:
        scale = SCALES[match["scale"].strip().lower().removesuffix("s")]
        return Number(value * scale, frozenset([value]), unit)
    return Number(value, unit=unit)


def _mixed(match: re.Match[str]) -> Fraction | int | None:
    whole = _unsigned(match["whole"])
    if whole is None:
        return None
    if match["share"]:
        return whole + SHARES[match["share"].lower()]
    above, below = int(match["above"]), int(match["below"])
    return whole + Fraction(above, below) if above < below else None


def _quotient(match: re.Match[str]) -> Fraction | int | None:
    value = _factor(match["first"], match["first_power"])
    if value is not None and match["ten"]:
        ten = _factor("10", match["ten"].partition("10")[2])
        value = None if ten is None else value * ten
    if value is None or not match["second"]:
        return value
    below = _factor(match["second"], match["second_power"])
    return Fraction(value) / below if below else None


def _factor(base: str, power: str | None) -> Fraction | int | None:
    value = _unsigned(base)
    if value is None or not power:
        return value
    exponent = int("".join(power.split()).strip("^*()"))
    bits = value.numerator.bit_length() + value.denominator.bit_length()
    if abs(exponent) * bits > _MAX_POWER_BITS or (not value and exponent <= 0):
        return None
    return Fraction(value) ** exponent


def _unsigned(text: str) -> Fraction | int | None:
    text = text.translate(_SEPARATORS)
    if text.count(".") > 1:
        text = text.replace(".", "")
    if text.isdigit():
        return int(text)
    _, _, exponent = text.lower().partition("e")
    return None if exponent and abs(int(exponent)) > _MAX_EXPONENT else Fraction(text)


def _all_readings(line: str, match: re.Match[str]) -> frozenset[Fraction | int]:
    """Return what the run of digits and signs that starts here may stand for."""
    run = RUN.match(line, match.start("whole") if match["whole"] else match.start("first"))
    readings: set[Fraction | int] = set()
    for part in PART.findall(run[0][:MAX_NUMBER_LENGTH] if run else ""):
        *pieces, last = re.split(r"\D", part)
        readings |= {Fraction(piece) for piece in (*pieces, last)}
        if pieces:
            joined = "".join(pieces)
            readings |= {Fraction(joined + last), Fraction(f"{joined}.{last}")}
    number = _read(match)
    if number and number.value is not None:
        readings |= {number.value, *number.others}
    return frozenset(readings | {-reading for reading in readings})
