"""What is right that is said whatever is asked, and that a report says so of a weak prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from favourites import examples_of, records
from skiploop.evaluation.blind import blind_accuracy
from skiploop.report.conclusions import conclusions
from skiploop.report.report import build_report
from skiploop.tasks.base import Example


def first_line(plain, golds, examples=None):
    examples = examples or examples_of(golds)
    found = records("identity", examples, plain) + records("static", examples, golds)
    return conclusions(build_report(found, title="t", examples=examples))[0]


def test_the_commonest_answer_of_the_others_is_given():
    assert blind_accuracy(examples_of(["Yes", "yes.", "YES", "No"])) == 0.75
    assert blind_accuracy(examples_of(["Yes", "No"])) == 0.0
    assert blind_accuracy([]) is None


@given(st.lists(st.integers(), unique=True, min_size=1, max_size=30).map(lambda n: map(str, n)))
def test_where_no_answer_comes_twice_nobody_knows_one_beforehand(golds):
    assert blind_accuracy(examples_of(list(golds))) == 0.0


def test_categories_have_their_own_answers_and_equal_questions_count_once():
    categories = [Example(str(i), f"q{i}", "ab"[i % 2], category="AB"[i % 2]) for i in range(10)]
    assert blind_accuracy(categories) == 1.0
    copies = [Example(str(i), "the same", "a") for i in range(5)]
    assert blind_accuracy(copies) == 0.0


def test_of_choices_any_is_as_good():
    choices = ("a", "b", "c", "d")
    assert blind_accuracy([Example(str(i), f"q{i}", "a", choices) for i in range(9)]) == 0.25


@pytest.mark.parametrize("word", ["The", "No"])
def test_a_plain_model_below_one_answer_for_all_is_told_before_any_gain(word):
    golds = ["Yes"] * 30 + ["No"] * 10
    line = first_line([word] * 40, golds)
    share = "0.0" if word == "The" else "25.0"
    assert line.startswith(f"The plain model is right on {share} %, one answer for all questions")
    assert "75.0 %" in line and "prompt" in line


def test_of_a_plain_model_that_reads_its_questions_nothing_is_told():
    golds = ["Yes"] * 30 + ["No"] * 30
    assert "plain model" not in first_line(["Yes"] * 25 + ["No"] * 35, golds)
