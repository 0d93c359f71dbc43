"""Numbers in many spellings: what the graders are fuzzed with, written without their reader."""

import re
from fractions import Fraction

from hypothesis import strategies as st

from skiploop.graders import grade_choice, grade_first_number, grade_math, grade_number

_SEPARATORS = (",", " ", "\u00a0", "\u2009", "\u202f", "'", "\u2019", "_")
_FIRST_DIGITS = ("0", "\uff10", "\u0660", "\u0966", "\U0001d7ce")  # full-width, Arabic, bold, ...
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS = ("-", "\u2212", "\uff0d")
_TIMES_TEN = ("e{}", "E{}", " x 10^{}", "x10^{}", " \u00d7 10^{}", " * 10**{}", "\u00b710^({})")
_VULGAR = {Fraction(1, 2): "½", Fraction(1, 4): "¼", Fraction(3, 4): "¾", Fraction(2, 3): "⅔"}


def decimal(value: Fraction) -> str:
    """Return a value whose denominator divides a power of ten, digit by digit."""
    places = next(n for n in range(40) if (value * 10**n).denominator == 1)
    digits = str(int(value * 10**places)).rjust(places + 1, "0")
    return digits[:-places] + "." + digits[-places:] if places else digits


def grouped(draw, value: Fraction) -> str:
    whole, point, rest = decimal(value).partition(".")
    return f"{int(whole):,}".replace(",", draw(st.sampled_from(_SEPARATORS))) + point + rest


def in_some_digits(draw, value: Fraction) -> str:
    first = ord(draw(st.sampled_from(_FIRST_DIGITS)))
    return decimal(value).translate({ord(str(digit)): first + digit for digit in range(10)})


def scientific(draw, value: Fraction) -> str:
    exponent = draw(st.integers(-6, 9))
    mantissa = decimal(value / Fraction(10) ** exponent)
    form = draw(st.sampled_from((*_TIMES_TEN, "superscript", "latex")))
    if form == "superscript":
        return f"{mantissa} \u00d7 10{str(exponent).translate(_SUPERSCRIPTS)}"
    if form == "latex":
        return rf"{mantissa} \times 10^{{{exponent}}}"
    return mantissa + form.format(exponent)


def fraction(draw, value: Fraction) -> str:
    whole, rest = divmod(value, 1)
    forms = [f"{value.numerator}/{value.denominator}"]
    forms.append(rf"\frac{{{value.numerator}}}{{{value.denominator}}}")
    if whole and rest:
        forms += [f"{whole} {rest}", f"{whole} and {rest}", f"{whole}\\frac{{{rest.numerator}}}"]
        forms[-1] += f"{{{rest.denominator}}}"
        forms += [f"{whole}{sign}{_VULGAR[rest]}" for sign in ("", " ") if rest in _VULGAR]
    elif rest in _VULGAR:
        forms.append(_VULGAR[rest])
    return draw(st.sampled_from(forms))


def with_sign(draw, text: str, *, is_negative: bool) -> str:
    currency = draw(st.sampled_from(("", "", "$", "€", "US$", "£ ")))
    if not is_negative:
        return currency + text
    sign = draw(st.sampled_from(_MINUS)) + draw(st.sampled_from(("", " ")))
    return draw(st.sampled_from((sign + currency, currency + sign))) + text


@st.composite
def spelled(draw):
    """Return a number and one of its spellings, without a unit."""
    if draw(st.booleans()):
        value = Fraction(
            draw(st.integers(0, 10**9)), draw(st.sampled_from((1, 1, 1, 2, 4, 10, 1000)))
        )
        text = draw(st.sampled_from((in_some_digits, grouped, scientific)))(draw, value)
    elif draw(st.booleans()):
        below = draw(st.integers(2, 12))
        value = Fraction(draw(st.integers(1, 400)), below)
        text = fraction(draw, value)
    else:
        base, exponent = draw(st.integers(2, 12)), draw(st.integers(2, 9))
        value = Fraction(base**exponent)
        form = draw(st.sampled_from(("{}^{}", "{}**{}", "{}^{{{}}}", "{} ^ {}", "superscript")))
        text = form.format(base, exponent)
        if form == "superscript":
            text = f"{base}{str(exponent).translate(_SUPERSCRIPTS)}"
    is_negative = draw(st.booleans()) and value != 0
    text = with_sign(draw, text, is_negative=is_negative)
    return (-value if is_negative else value), text


def verdicts(text, gold):
    """Return the verdicts of all graders that read numbers; math with numbers needs no process."""
    other = str(Fraction(gold) + 1)
    return {
        "number": grade_number(text, gold).correct,
        "first number": grade_first_number(text, gold).correct,
        "choice": grade_choice(text, [gold, other], gold).correct,
        "choice, other": grade_choice(text, [other, gold], other).correct,
        "math": grade_math([rf"so \boxed{{{text}}}"], [gold])[0].correct,
    }


def lookalikes(value, text):
    """Return what a reader that stops early, joins digits or drops a sign would find."""
    parts = [Fraction(part) for part in re.findall(r"[0-9]+(?:\.[0-9]+)?", text)]
    joined = "".join(re.findall(r"\d", text))
    return {-value, value + 1, value * 10, *parts, Fraction(int(joined or 0))} - {value}
