"""One number in many spellings: equal values are right, others wrong, for every grader."""

import re
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from skiploop.graders import grade_first_number, grade_math, grade_number
from skiploop.graders.number import first_number, read_number
from spellings import lookalikes, spelled, verdicts

UNITS = ("", "", " cups", " km/h", " m\u00b2", "kg", " US dollars", "\u00b0")
STARTS = ("", " ", "The answer is ", "= ", "x = ", "Answer: ", "**")
ENDINGS = ("", ".", "\n", " (all of them)", ", not 7", "; 3 more", "!")


@given(spelled())
def test_the_same_value_is_right_in_every_spelling(pair):
    value, text = pair
    right = verdicts(text, str(value))
    assert right == {**dict.fromkeys(right, True), "choice, other": False}


@given(spelled(), st.data())
def test_another_value_is_wrong_in_every_spelling(pair, data):
    value, text = pair
    other = str(data.draw(st.sampled_from(sorted(lookalikes(value, text)))))
    found = verdicts(text, other)
    assert [found[name] for name in ("number", "first number", "math")] == [False] * 3


@given(spelled(), spelled())
def test_the_gold_answer_may_be_spelled_in_any_way(pair, other):
    (value, text), (_, gold) = pair, other
    gold_value = read_number(gold).value
    assert gold_value == other[0]
    currencies = {sign for sign in "$€£" if sign in text + gold}
    expected = value == gold_value and len(currencies) < 2
    assert grade_first_number(text, gold).correct is expected
    assert grade_math([rf"\boxed{{{text}}}"], [gold])[0].correct is expected


@given(spelled(), st.sampled_from(STARTS), st.sampled_from(UNITS), st.sampled_from(ENDINGS))
def test_a_number_is_found_in_a_sentence(pair, start, unit, ending):
    value, text = pair
    assume(not (start[-1:].isalnum() or start[-2:-1].isalnum()) or not re.match(r"\W? ", text))
    grade = grade_first_number(start + text + unit + ending, str(value))
    assert grade.correct is True
    assert grade_first_number(start + text + unit + ending, str(value + 1)).correct is False


@given(spelled(), st.sampled_from(UNITS))
def test_a_unit_does_not_change_a_number(pair, unit):
    value, text = pair
    assert grade_number(text + unit, str(value)).correct is True


@given(st.decimals(0, 1000, places=2), st.sampled_from(("%", " %", r"\%", "\uff05", " percent")))
def test_a_percentage_is_meant_as_it_stands_or_as_a_share(number, sign):
    text, value = f"{number}{sign}", Fraction(number)
    for gold in (value, value / 100):
        assert grade_first_number(text, str(gold)).correct is True
        assert grade_number(text, str(gold)).correct is True
        assert grade_math([rf"\boxed{{{text}}}"], [str(gold)])[0].correct is True
    assert grade_first_number(text, f"{number + 1}%").correct is False
    assert grade_first_number(text, str(value + 1)).correct is False


@given(st.integers(1, 10**6), st.integers(1, 40))
def test_small_differences_are_told(number, place):
    close = Fraction(number) + Fraction(1, 10**place)
    text = f"{number}.{'0' * (place - 1)}1"
    for gold, correct in ((str(close), True), (str(number), False)):
        assert grade_math([rf"\boxed{{{text}}}"], [gold])[0].correct is correct
        assert grade_first_number(text, gold).correct is correct


@pytest.mark.parametrize(
    ("text", "golds"),
    [
        ("5-3 pieces", ["5", "3", "-3"]),
        ("5 + 3 = 8", ["5", "8"]),
        ("12,34", ["12", "34", "1234", "12.34"]),
        ("1.2.3", ["1", "3"]),
        ("1:00", ["1"]),
        ("1/2/3", ["1/2", "1"]),
        ("10^2^3", ["100", "10"]),
        ("the change is - 3", ["3", "-3"]),
        ("the change is minus 3", ["3", "-3"]),
        ("-      3", ["3", "-3"]),
        ("--3", ["3", "-3"]),
        ("-Rs. 20", ["20", "-20"]),
        ("\u00b13", ["3", "-3"]),
        ("1.234,56", ["1.234", "1234.56", "1"]),
        ("2^\u00bd", ["2", "1"]),
        ("2 million people", ["2"]),
        ("about 5k", ["5"]),
        ("2\u221a3", ["2"]),
        (r"\sqrt{4}", ["4"]),
        ("2^{1/2}", ["2", "1"]),
        ("2 3/2", ["2", "3"]),
        ("1e99999", ["1"]),
        ("(-2)^2", ["-2", "2"]),
    ],
)
def test_where_the_text_does_not_tell_which_number_is_meant_nobody_guesses(text, golds):
    for gold in golds:
        assert grade_first_number(text, gold).correct is None
    assert grade_first_number(text, "777").correct is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 million", 2_000_000),
        ("$1.5 billion", 1_500_000_000),
        ("5k", 5000),
        ("3 and a half", Fraction(7, 2)),
        ("12,34,567", 1_234_567),
        ("-USD 20", -20),
        ("20 \u20ac", 20),
        ("minus 20", -20),
        ("1.234.567", 1_234_567),
        ("\u00b3\u2044\u2082", Fraction(3, 2)),
        (r"\mathbf{39}", 39),
        ("6 / 4", Fraction(3, 2)),
        ("1/2^10", Fraction(1, 1024)),
        ("2^-3", Fraction(1, 8)),
        ("4\t^2", 16),
        ("4\u2003**\u2003-2", Fraction(1, 16)),
        ("\u0663\u066b\u0665", Fraction(7, 2)),
    ],
)
def test_other_ways_to_write_a_number_are_read(text, value):
    assert read_number(text).value == value
    assert first_number(f"= {text} now").value == value


def test_different_currencies_are_not_the_same():
    assert grade_first_number("$20", "\u20ac20").correct is False
    assert (
        grade_first_number("$20", "$20").correct is grade_first_number("20", "$20").correct is True
    )


@pytest.mark.parametrize("text", ["9**9**9**9", "1e999999999", "10^999999999", "2^" + "9" * 90])
def test_a_huge_number_is_never_computed(text):
    assert read_number(text) is None
    assert grade_first_number(text, "5").correct is False


@given(st.text())
@settings(max_examples=300)
def test_no_text_breaks_the_reader(text):
    grade_first_number(text, "1")
    grade_number(text, "1")
    number = read_number(text)
    assert number is None or grade_first_number(text, str(number)).correct is not False
