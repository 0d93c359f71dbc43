r"""What a number looks like, in plain characters: `number` reads what these patterns find.

A number is a sign, a currency, digits with or without groups, and what belongs to it: a fraction, a
power, `e3` or `x 10^3`, a percent sign, a word such as "million".
"""

from __future__ import annotations

import re
from fractions import Fraction

SCALES = {
    "k": 10**3,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
SHARES = {"half": Fraction(1, 2), "quarter": Fraction(1, 4)}

_GROUPED = r"[1-9]\d{0,2}(?:(?:,\d{3})+|(?:'\d{3})+|(?:_\d{3})+|(?:[ ]\d{3})+)(?!\d)"
_LAKHS = r"[1-9]\d?(?:,\d\d)+,\d{3}(?!\d)"  # 12,34,567
_POINTS = r"[1-9]\d{0,2}(?:\.\d{3}){2,}(?![\d.])"  # 1.234.567; one point is that of a decimal
_DIGITS = rf"(?:{_GROUPED}|{_LAKHS}|{_POINTS}|\d+)"
_UNSIGNED = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:e[+-]?\d+)?"
_EXPONENT = r"\s?(?:\^|\*\*)(?:\s?\(\s?[+-]?\d+\s?\)|[+-]?\d+|\s[+-]?\d+(?![\d/]))"
_SIGN = r"[$¢-¥฿₠-⃏]"
_CURRENCY = rf"(?-i:[A-Z]{{0,3}}){_SIGN}"

NUMBER = re.compile(
    rf"""
    (?: (?<![\w)\]}}%+-]) (?P<sign>[+-]|minus\b|negative\b) (?P<gap>\s{{0,4}})
        (?-i:[A-Z]{{3}}\s)? )?
    (?: (?P<currency>{_CURRENCY}) \s{{0,2}} (?P<late_sign>[+-]\s{{0,2}})? )?
    (?:
      (?P<whole>{_DIGITS})
      (?: \s{{1,4}} (?:and\s)? (?P<above>\d+) \s?/\s? (?P<below>\d+)
        | \s and \s an? \s (?P<share>{"|".join(SHARES)})\b )
    | (?P<first>{_UNSIGNED}) (?P<first_power>{_EXPONENT})? (?P<ten>\s?[x*]\s?10{_EXPONENT})?
      (?: \s?/\s? (?P<second>{_UNSIGNED}) (?P<second_power>{_EXPONENT})? )?
    )
    (?: (?P<scale> k\b | \s?(?:{"|".join(list(SCALES)[1:])})s?\b) )?
    (?: \s?(?P<unit>%|{_SIGN}(?!\s?\d)) | \s?(?P<percent>per\s?cent)\b )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A number. It finds one wherever there is a digit."""

DIGIT = re.compile(r"\d")
MAX_BEFORE_DIGITS = 24
"""Characters of a number before its first digit: signs, a currency, spaces and a point."""

BELONGS_TO_MORE = re.compile(
    r"""
    [-+√^±]\s*$                                    # --3  ±3
    | (?<![\w)])-\s?[a-z]{1,4}\.?\s?$              # -Rs. 20
    | \\(?!f?boxed)[a-z]+[\[{\s]*$                  # \sqrt{4}
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""The end of a text after which a number is only a part of something."""

GOES_ON = re.compile(
    r"""
    [.,:'_/^]\d                                    # 12,34  1:00  1/2/3
    | \s? (?:\*\*?|[-+/x]) \s? [-+]? [\d.($]      # 5-3  3 x 4
    | \s (?:plus|minus|times) \s \d
    | \s?\^ | \)\s?[*/^] | e[-+]?\d                # 2^(1/2)  (-2)^2
    | \s? (?:√|π|pi\b) | (?-i:[xyzni])\b           # 2√3  5i
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What follows a number that is only a part of something."""

RUN = re.compile(r"[\d\s.,:'_/^*(){}x=+%e$-]*", re.IGNORECASE)
"""All that a number which goes on may reach to."""

PART = re.compile(r"\d+(?:[.,'_* ]\d+)*")
"""Digits in such a run that may be one number."""

UNIT = re.compile(r"(?:\s?(?:°?[^\W\d_]+|[°'\"])(?:[ /][^\W\d_]+)?(?:\^?[23])?)?\.?")
"""What may follow a number that is a whole answer: `km/h`, `US dollars`, `m^2`, nothing."""

ENDS = re.compile(r"\s?[;?!\"&<>|#@=(\[]|[.,:]\s")
"""Signs after which nothing belongs to a number any more."""

WORD = re.compile(r"\s?([a-z]+)", re.IGNORECASE)
GOING_ON = ("and", "e", "minus", "percent", "pi", "plus", "times", "x", *SCALES)
"""Words after a number that may belong to it."""
