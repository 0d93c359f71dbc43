"""Which questions a stage or a method of a run learns from."""

from types import SimpleNamespace

from skiploop.runs.questions import N_CHECKING, unseen_examples
from skiploop.tasks.base import Example


def question(number, category):
    return Example(f"mine/{number}", f"question {number}", "x", category=category)


def run_with(*validation):
    return SimpleNamespace(task=SimpleNamespace(examples=lambda split: list(validation)))


def test_unseen_questions_are_of_learned_categories_and_none_that_was_learned_from():
    learned = [question(0, "a"), question(1, "b")]
    validation = [question(1, "b"), question(2, "a"), question(3, "new")]
    assert unseen_examples(run_with(*validation), learned) == [question(2, "a")]


def test_there_may_be_no_unseen_questions_and_not_more_than_so_many():
    learned = [question(0, "")]
    many = [question(number, "") for number in range(1, N_CHECKING + 9)]
    assert unseen_examples(run_with(*many), learned) == many[:N_CHECKING]
    assert unseen_examples(run_with(), learned) == []
