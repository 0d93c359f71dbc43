"""The demo asks as many questions as a gain such as that on the cards needs to be seen."""

import re

import pytest

from skiploop.cli import demo
from skiploop.evaluation.power import Judged, power
from skiploop.runs.demonstration import DemoConfig
from skiploop.shipped import gain_in_words, shipped_policies
from skiploop.stats import SIGNIFICANCE
from skiploop.tasks import get_task

N_TESTS = 2


@pytest.mark.parametrize(
    ("policy", "counts", "n_read", "n_questions"),
    [
        ("smollm2-135m/words", r"\| (\d+) / (\d+), p", 1500, demo.N_WORDS),
        ("smollm2-135m/arithmetic", r"right, (\d+) / (\d+)\.", 365, demo.N_ARITHMETIC),
    ],
)
def test_its_number_of_questions_is_the_least_ten_with_95_percent_power(
    policy, counts, n_read, n_questions
):
    card = (shipped_policies()[policy] / "card.md").read_text()
    fixed, broken = (int(count) / n_read for count in re.search(counts, card).groups())
    level = SIGNIFICANCE / N_TESTS
    assert power(Judged(n_questions, level), fixed, broken) >= 0.95
    assert power(Judged(n_questions - 10, level), fixed, broken) < 0.95


def test_its_questions_are_none_of_those_that_the_cards_were_written_from():
    task, n_read = get_task("arithmetic", level="1,2,3,4,5"), demo.N_READ_ARITHMETIC
    read = {example.group for example in task.examples("test", n_read)}
    config = DemoConfig(policy="", limit=290, n_read=n_read, category=demo.ARITHMETIC_CATEGORY)
    asked = config.questions(task)
    assert len(asked) == 290 and {example.category for example in asked} == {
        demo.ARITHMETIC_CATEGORY
    }
    assert not read & {example.group for example in asked}


@pytest.mark.parametrize("policy", shipped_policies())
def test_every_card_says_in_one_sentence_what_the_gain_is_and_is_not(policy):
    sentence = gain_in_words(policy)
    assert sentence.startswith("The weights stay as they are") and sentence.count(". ") == 0
