"""Right answers that verdicts take for the same have one key, which is a right answer itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.graders import grade_choice, grade_first_number, grade_number, grade_text
from skiploop.graders.writing import one_writing
from skiploop.tasks.base import Example
from skiploop.tasks.boxed import BoxedTask
from skiploop.tasks.questions import QuestionTask
from spellings import spelled


@given(spelled())
def test_all_spellings_of_a_number_have_the_key_of_the_number(pair):
    value, text = pair
    key = one_writing(text)
    assert key == one_writing(str(value))
    assert grade_number(key, text).correct and grade_first_number(key, text).correct


words = st.text("aAbÁ .", min_size=1, max_size=4)


@given(words, words)
def test_texts_with_one_key_are_right_for_each_other_and_with_another_key_are_not(one, other):
    is_same = one_writing(one) == one_writing(other) != ""
    assert grade_text(other, one).correct == is_same


@given(
    st.lists(st.sampled_from(["A", "a", "a.", "1", "1.0", "$1", "2", "Á"]), min_size=2, unique=True)
)
def test_the_key_of_a_choice_is_that_choice(choices):
    gold = choices[0]
    assert grade_choice(one_writing(gold, choices), choices, gold).correct


def keys(task):
    return [example.answer_key for example in task.examples("train")]


def examples_of(*golds):
    return {
        "train": [Example(str(i), f"Which is {i}?", gold) for i, gold in enumerate(golds)],
        "validation": [],
        "test": [],
    }


def test_case_tells_answers_apart_where_the_task_says_so():
    golds = ("Polish", "polish", "Yes", "yes.")
    task = QuestionTask("q", examples_of(*golds), shots=(), max_new_tokens=9)
    assert keys(task)[:2] == ["Polish", "polish"]
    for example in task.examples("train"):
        assert task.grade(example, example.answer_key).correct
    task = QuestionTask("q", examples_of("Yes", "Yes."), shots=(), max_new_tokens=9)
    assert keys(task) == ["yes", "yes"]


@pytest.mark.parametrize(
    "golds",
    [
        ("x + 1", "x+1", "$x+1$"),
        (r"\text{Yes}", "yes"),
        (r"\frac{1}{2}", "0.5", "1/2"),
        ("1,000", "1000"),
    ],
)
def test_spaces_and_commands_for_text_do_not_matter_in_a_box(golds):
    task = BoxedTask("b", examples_of(*golds))
    assert len(set(keys(task))) == 1
    examples = task.examples("train")
    texts = [f"\\boxed{{{key}}}" for key in keys(task)]
    assert all(grade.correct for grade in task.grade_many(examples, texts))
