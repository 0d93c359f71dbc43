"""What every grader must keep, whatever it compares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop import graders
from skiploop.graders.exact import grade_integer
from skiploop.graders.grade import Grade

CHOICES = ("red", "7", "1/2")


def boxed(text, gold):
    (grade,) = graders.grade_math([text], [gold])
    return grade


GRADERS = {
    "grade_choice": (lambda text, gold: graders.grade_choice(text, CHOICES, gold), CHOICES),
    "grade_first_number": (graders.grade_first_number, ("7", "-1.5", "1/2", "1,200")),
    "grade_integer": (grade_integer, ("7", "-12", "1200")),
    "grade_math": (boxed, ("7", "-1.5", r"\frac{1}{2}", "x^2 + 1")),
    "grade_number": (graders.grade_number, ("7", "-1.5", "1/2", "1,200")),
    "grade_text": (graders.grade_text, ("red", "The mall", "x = 7")),
}
"""By name, how a text is graded, and some gold answers."""

HOSTILE = ("", " ", "\n", "\0", "\ud800", "٣", "-" * 5_000, "9" * 5_000, "(" * 300, "1/0", "nan")

every_grader = pytest.mark.parametrize("name", GRADERS)


def right(name, gold):
    """Return a text that gives a gold answer as the grader wants it."""
    return f"so \\boxed{{{gold}}}" if name == "grade_math" else gold


def test_every_public_grader_is_tested():
    public = {name for name in graders.__all__ if name.startswith("grade_")}
    assert public | {"grade_integer"} == set(GRADERS)


@every_grader
def test_the_gold_answer_is_right_with_spaces_around_and_another_one_is_wrong(name):
    grade, golds = GRADERS[name]
    for gold in golds:
        found = grade(right(name, gold), gold)
        assert found.correct is True and found.answer
        assert grade(f"  {right(name, gold)}\n", gold).correct is True
        assert grade(right(name, "31"), gold).correct is False


@every_grader
def test_no_answer_is_wrong_and_not_ungraded(name):
    grade, golds = GRADERS[name]
    assert [grade(text, gold).correct for text in ("", "  \n") for gold in golds] == [False] * (
        2 * len(golds)
    )


@every_grader
def test_a_hostile_text_gets_a_verdict_that_is_not_right_and_gets_it_again(name):
    grade, (gold, *_) = GRADERS[name]
    for text in HOSTILE:
        for written in (text, right(name, text)):
            found = grade(written, gold)
            assert isinstance(found, Grade) and found.correct is not True, written[:20]
            assert grade(written, gold) == found


@every_grader
@given(text=st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_gets_one_verdict(name, text):
    grade, (gold, *_) = GRADERS[name]
    found = grade(text, gold)
    assert found.correct in (True, False, None)
    assert found == grade(text, gold)
