import unicodedata
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skiploop.errors import DataError
from skiploop.graders import grade_choice, grade_first_number, grade_number, grade_text
from skiploop.graders.exact import (
    grade_integer,
    parse_number,
    rules_out_first_number,
    rules_out_integer,
    rules_out_text,
)
from skiploop.graders.spelling import folded


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        (" 12.\n", 12),
        ("-7", -7),
        ("\N{MINUS SIGN}7", -7),
        ("+7", 7),
        ("1,234", 1234),
        ("1,234,567.50", Fraction("1234567.5")),
        ("007", 7),
        (".5", Fraction(1, 2)),
        ("1/2", Fraction(1, 2)),
        ("-6 / 4", Fraction(-3, 2)),
        ("$5", 5),
        ("50%", 50),
        ("1e3", 1000),
        ("1_000", 1000),
    ],
)
def test_a_text_that_is_one_number_is_read_exactly(text, value):
    assert parse_number(text) == value


@pytest.mark.parametrize(
    "text",
    ["", ".", "-", "$", "12 and 13", "12 13", "x12", "12 apples", "3x", "1,23", "1/0", "1:00"],
)
def test_anything_else_is_no_number(text):
    assert parse_number(text) is None


@pytest.mark.parametrize(
    "text",
    ["1/2/3", "--3", "1..2", "12,345,6", "nan", "inf", "0x10", "1_00", "\N{SUPERSCRIPT TWO}"],
)
def test_other_notations_are_no_number(text):
    assert parse_number(text) is None


@given(st.fractions())
def test_a_printed_fraction_is_read_back(number):
    assert parse_number(str(number)) == (number if len(str(number)) <= 100 else None)


@given(st.integers(-(10**30), 10**30))
def test_thousands_separators_do_not_change_an_integer(number):
    assert parse_number(f"{number:,}") == number


def test_numbers_are_compared_without_rounding():
    assert grade_number("0.1", "1/10").correct
    assert not grade_number("0.3333333333333333", "1/3").correct


def test_a_number_among_other_words_is_wrong_for_the_strict_grader():
    grade = grade_number("12 and 13", "12")
    assert grade.correct is False
    assert grade.reason == "not exactly one number"


@pytest.mark.parametrize("text", ["1" * 10**6, "(" * 10**6, "1," * 10**6, "2/" * 10**6])
def test_a_megabyte_of_anything_is_wrong_at_once(text):
    assert grade_number(text, "5").correct is False
    assert grade_first_number(text, "5").correct is False


def test_a_gold_answer_that_is_no_number_is_an_error():
    with pytest.raises(DataError, match="gold answer 'blue' is not a number"):
        grade_number("12", "blue")


@pytest.mark.parametrize(
    "text", ["39", " 39 pieces left.", "$39.00", "= 39\n40", "The answer is 39, not 40"]
)
def test_the_first_number_of_the_first_line_counts(text):
    assert grade_first_number(text, "39").correct


@pytest.mark.parametrize("text", ["", "none\n39", "40 or 39", "-39", "1,039"])
def test_a_later_number_does_not_count(text):
    assert grade_first_number(text, "39").correct is False


def test_texts_are_compared_without_case_spaces_and_full_stop():
    assert grade_text("  new   delhi.\nand more", "New Delhi").correct
    assert grade_text("Delhi", "New Delhi").correct is False
    assert grade_text("", "New Delhi").correct is False


def test_a_choice_must_be_one_of_the_choices():
    choices = ("river bank", "bank", "B")
    assert grade_choice(" Bank. ", choices, "bank").correct is True
    assert grade_choice("river bank", choices, "bank").correct is False
    assert grade_choice("A", choices, "river bank").reason == "not one of the choices"
    assert grade_choice("", choices, "bank").correct is False


@pytest.mark.parametrize("text", [".5", "it is .5 of it", "1/2"])
def test_a_decimal_may_start_with_its_point(text):
    assert grade_first_number(text, "0.5").correct is True


@pytest.mark.parametrize(
    ("text", "correct"),
    [("67", True), (" +067.\n", True), ("-67", False), ("134/2", False), ("67.0", False)],
)
def test_an_integer_is_digits_a_sign_and_a_full_stop(text, correct):
    assert grade_integer(text, "67").correct is correct


def test_a_gold_answer_that_is_no_integer_is_refused():
    with pytest.raises(DataError, match="not an integer"):
        grade_integer("1", "1/2")


integers = st.integers(-200, 200)
beginnings = st.text("0123456789+-. \n/,x", max_size=5)


@given(
    integers, st.sampled_from(["", " ", "\n "]), st.integers(0, 2), st.sampled_from(["", ".", ". "])
)
def test_no_beginning_of_a_right_answer_is_ruled_out(number, space, n_zeros, end):
    sign = "-" if number < 0 else ""
    text = f"{space}{sign}{'0' * n_zeros}{abs(number)}{end}"
    assert grade_integer(text, str(number)).correct
    assert not any(rules_out_integer(text[:n], str(number)) for n in range(len(text) + 1))


@given(beginnings, beginnings, integers)
def test_no_text_with_a_beginning_that_is_ruled_out_is_right(beginning, rest, number):
    if rules_out_integer(beginning, str(number)):
        assert not grade_integer(beginning + rest, str(number)).correct


@given(beginnings, integers)
def test_a_beginning_is_ruled_out_unless_something_right_follows(beginning, number):
    digits = str(abs(number))
    signs = ("", "-") if number <= 0 else ("", "+")
    endings = [sign + digits[n:] + stop for sign in signs for n in range(4) for stop in ("", ".")]
    if not any(grade_integer(beginning + ending, str(number)).correct for ending in endings):
        assert rules_out_integer(beginning, str(number))


number_pieces = st.lists(
    st.sampled_from(
        [
            *"0123456789,./-$ \nax^*%(e",
            "000",
            "½",
            "²",
            " and ",
            "half",
            "million",
            "7",
            "\\frac{1}{2}",
            "{",
            "   ",
        ]
    ),
    max_size=12,
).map("".join)


@given(number_pieces, number_pieces, st.sampled_from(["7", "12", "1/2", "-3", "1000", "0.07"]))
@settings(max_examples=500)
def test_no_text_that_goes_on_from_a_ruled_out_beginning_has_the_right_first_number(
    start, rest, gold
):
    if rules_out_first_number(start, gold):
        assert grade_first_number(start + rest, gold).correct is False


@given(
    st.text("aAB. \n\u00df"),
    st.text("aAB. \n\u00df"),
    st.sampled_from(["a", "a b", "ss", "b. a", "a.."]),
)
def test_no_text_that_goes_on_from_a_ruled_out_beginning_is_the_right_one(start, rest, gold):
    if rules_out_text(start, gold):
        assert not grade_text(start + rest, gold).correct


LETTERS = st.text("aeAcC\u0301\u0327\u0323\u00e9\u00e7\u1eb9. ", max_size=6)


@given(LETTERS, LETTERS, LETTERS)
@settings(max_examples=500)
def test_composed_and_decomposed_letters_are_the_same(start, rest, gold):
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, gold)
        assert grade_text(text, gold).correct is bool(folded(gold))
        assert not gold.strip() or grade_choice(text, [gold, gold + "x"], gold).correct is True
    if rules_out_text(start, gold):
        assert not grade_text(start + rest, gold).correct


@pytest.mark.parametrize("text", ["\uff30\uff41\uff52\uff49\uff53", "PARIS.", "Par\u00adis"])
def test_a_text_in_other_characters_is_the_same(text):
    assert grade_text(text, "Paris").correct is True
    assert grade_choice(text, ["Paris", "Rome"], "Paris").correct is True


def test_a_power_is_not_its_digits():
    assert grade_text("10\u00b2 of them", "102 of them").correct is False


def test_what_differs_in_case_alone_can_be_told_apart():
    assert grade_text("b", "B").correct is True
    assert grade_text("b", "B", others=["b"]).correct is False
    assert grade_text("B.", "B", others=["b"]).correct is True


@pytest.mark.parametrize(
    "choices",
    [("TT", "Tt", "tt"), ("Co", "CO"), ("St", "St."), ("1/2", "0.5", "50%"), ("x", "x^2")],
)
def test_a_choice_to_the_letter_is_that_choice(choices):
    for gold in choices:
        for choice in choices:
            assert grade_choice(f" {choice}\n", choices, gold).correct is (choice == gold)


@pytest.mark.parametrize(
    ("text", "choices"),
    [("co", ("Co", "CO")), ("tT", ("TT", "Tt", "tt")), ("0.50", ("1/2", "0.5"))],
)
def test_a_text_that_may_be_several_choices_is_not_graded(text, choices):
    grade = grade_choice(text, choices, choices[0])
    assert grade.correct is None
    assert grade.reason.startswith("may be ")


def test_a_choice_may_be_written_with_a_full_stop_in_another_case_or_as_another_number():
    assert grade_choice("Tt.", ("TT", "Tt"), "Tt").correct is True
    assert grade_choice("1000", ("1,000", "2,000"), "1,000").correct is True
    assert grade_choice("2e3", ("1,000", "2,000"), "1,000").correct is False


@pytest.mark.parametrize(
    ("grade", "gold", "texts"),
    [
        (grade_integer, "7", ["7", " 7.", "+7", "007"]),
        (grade_number, "7", ["7", "7.0", "14/2", "7 km"]),
        (grade_first_number, "7", ["7", "$7 each", "7.00 of 9"]),
        (grade_text, "Yes", ["Yes", "yes.", " YES ", "yes\nno"]),
    ],
)
@pytest.mark.parametrize("is_right", [True, False])
def test_answers_that_are_taken_for_equal_have_one_spelling(grade, gold, texts, is_right):
    grades = [grade(text, gold if is_right else "8") for text in texts]
    assert {grade.correct for grade in grades} == {is_right}
    assert len({grade.answer for grade in grades}) == 1 and grades[0].answer


def test_answers_that_case_tells_apart_stay_apart():
    a, b = (grade_text(text, "a", others={"A"}) for text in ("a.", "A"))
    assert (a.correct, a.answer, b.correct, b.answer) == (True, "a", False, "A")
