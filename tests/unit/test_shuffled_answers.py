"""What answers are worth without their questions, and that it is no gain."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from favourites import (
    NULLS,
    TextTask,
    answered,
    drawn,
    examples_of,
    records,
    rows_of,
    verdicts,
)
from skiploop.evaluation.shuffled_answers import N_SHIFTS, shuffled_accuracy
from skiploop.jsontext import plain
from skiploop.report.conclusions import conclusions
from skiploop.report.markdown import report_tables
from skiploop.report.report import build_report
from skiploop.tasks.base import Example


def shuffled(examples, texts, policy="p"):
    return shuffled_accuracy(records(policy, examples, texts), TextTask(), examples)[policy]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=2, max_size=30)
)
@settings(deadline=None)
def test_where_few_answers_are_different_the_share_is_that_of_all_other_questions(pairs):
    golds, texts = zip(*pairs, strict=True)
    n = len(pairs)
    others = [texts[i] == golds[j] for i in range(n) for j in range(n) if i != j]
    found = shuffled(examples_of(golds), texts)
    assert found.value == pytest.approx(sum(others) / len(others))
    low, high = found.interval
    assert 0 <= low <= found.value + 1e-9 and found.value - 1e-9 <= high <= 1


@given(st.permutations(range(20)))
@settings(max_examples=20, deadline=None)
def test_each_question_has_the_answers_to_and_from_others_as_its_part(order):
    golds = ["a" if i < 5 else "b" for i in order]
    texts = ["a" if i % 2 else "c" for i in order]
    found = shuffled(examples_of(golds), texts).by_question
    share = np.mean([t == g for i, t in enumerate(texts) for j, g in enumerate(golds) if i != j])
    for i in range(20):
        given_away = sum(texts[i] == golds[j] for j in range(20) if j != i) / 19
        received = sum(texts[j] == golds[i] for j in range(20) if j != i) / 19
        assert found[str(i)] == pytest.approx(given_away + received - share)


@pytest.mark.parametrize("n_of_category", [1, 2, 3, 5, 10, 50, 300])
def test_no_answer_goes_back_to_its_own_question(n_of_category):
    examples = [
        Example(f"{i}", f"{i}?", f"gold {i}", category=str(i // n_of_category)) for i in range(300)
    ]
    assert shuffled(examples, [e.gold for e in examples]).value == 0


def test_categories_are_shuffled_apart_but_for_questions_that_are_alone_in_theirs():
    categories = ["a"] * 4 + ["b"] * 4 + ["c", "d"]
    golds = ["1"] * 4 + ["2"] * 4 + ["3", "4"]
    examples = [
        Example(str(i), f"{i}?", gold, category=category)
        for i, (gold, category) in enumerate(zip(golds, categories, strict=True))
    ]
    found = shuffled(examples, golds)
    assert found.value == pytest.approx(0.8)
    assert shuffled(examples[:9], golds[:9]).by_question.keys() == set("01234567")
    assert shuffled(examples[8:9], golds[8:9]).value is None
    assert shuffled(examples[8:9], golds[8:9]).figures()["low"] is None


def test_choices_are_not_shuffled_and_then_nothing_is_said_of_favourites():
    examples = [Example(str(i), f"{i}?", "a", choices=("a", "b")) for i in range(10)]
    found = [*records("identity", examples, ["b"] * 10), *records("p", examples, ["a"] * 10)]
    by_policy = shuffled_accuracy(found, TextTask(), examples)
    assert by_policy["p"].value is None
    report = build_report(found, title="t", shuffled_answers=by_policy)
    assert report.policies[1].beyond is None and report.policies[1].verdict == "better"


def test_many_different_answers_go_to_some_questions_in_few_verdicts():
    rng = np.random.default_rng(0)
    golds, texts = drawn(rng, 400, 300), drawn(rng, 400, 300)
    asked = []
    task = TextTask()
    grade_many = task.grade_many
    task.grade_many = lambda e, t: asked.extend(t) or grade_many(e, t)
    examples = examples_of(golds)
    found = shuffled_accuracy(
        [*records("identity", examples, texts), *records("p", examples, texts)], task, examples
    )
    assert found["p"] == found["identity"]
    assert len(asked) <= N_SHIFTS * 400  # once for both
    exact = np.mean([t == g for i, t in enumerate(texts) for j, g in enumerate(golds) if i != j])
    low, high = found["p"].interval
    assert low < exact < high


def test_an_answer_that_cannot_be_graded_elsewhere_is_left_out():
    class Unsure(TextTask):
        def grade_many(self, examples, texts):
            grades = super().grade_many(examples, texts)
            return [None if t == "?" else g for t, g in zip(texts, grades, strict=True)]

    class NoVerdict:
        correct = None

    task = Unsure()
    grade_many = task.grade_many
    task.grade_many = lambda e, t: [g or NoVerdict() for g in grade_many(e, t)]
    examples = examples_of(["a"] * 6)
    found = shuffled_accuracy(records("p", examples, ["a", "?"] * 3), task, examples)["p"]
    assert found.value == 1 and len(found.by_question) == 3


@pytest.mark.parametrize("null", NULLS)
def test_other_favourite_answers_are_seldom_called_better(null):
    """At most 2.5 % of the time; here 40 tables of 150 questions, more in the slow tests."""
    found = verdicts(null, 150, 40)
    assert found["better"] <= 4  # p < 0.003 at 2.5 %
    assert found["not beyond favourite answers"] > 20


def test_a_policy_that_knows_more_is_called_better():
    """15 points more of 300 questions, with another favourite answer as well: always."""
    found = verdicts("equal skill, a word that is never right", 300, 20, gain=0.15)
    assert found["better"] >= 19


def test_the_report_of_a_constant_answer_does_not_say_better():
    rng = random.Random(0)
    golds = [rng.choice(["2"] * 8 + [str(x) for x in range(20, 112)]) for _ in range(400)]
    examples = examples_of(golds)
    found = [
        *records("identity", examples, ["12"] * 400),
        *records("static", examples, ["2"] * 400),
    ]
    by_policy = shuffled_accuracy(found, TextTask(), examples)
    report = build_report(found, title="t", examples=examples, shuffled_answers=by_policy)
    row = report.policies[1]
    assert row.p_holm < 0.001 and row.verdict == "not beyond favourite answers"
    assert row.beyond.value == pytest.approx(0, abs=1e-9) and row.beyond.p > 0.99
    assert by_policy["static"].value == pytest.approx(row.accuracy.value)
    first, second = conclusions(report)[:2]
    assert first.startswith("The plain model is right on 0.0 %, one answer for all questions of a")
    assert second.startswith("More often right than the identity, but not shown")
    table = next(t for t in report_tables(report) if t.title == "Answers without their questions")
    assert table.rows[1][3].startswith(("+0.0 ", "-0.0 "))
    data = plain(report)
    assert data["shuffled_answers"]["static"].keys() == {"count", "total", "value", "low", "high"}
    assert data["policies"][1]["beyond_favourites"]["total"] == 400


@pytest.mark.parametrize(
    "templates", [("Is {} odd?", "Name {} of them."), ("Today he has {}.", "Earlier he has {}.")]
)
def test_favourite_answers_of_categories_that_only_the_text_tells_apart_are_not_called_better(
    templates,
):
    rng = np.random.default_rng(0)
    categories = np.arange(400) % 2
    questions = [templates[category].format(rng.integers(10, 99)) for category in categories]
    golds = [
        str(rng.choice(["Yes", "No"], p=[0.8, 0.2] if category else [0.2, 0.8]))
        for category in categories
    ]
    constants = ["Yes" if category else "No" for category in categories]
    examples = examples_of(golds, questions)
    row = rows_of(examples, {"identity": ["No"] * 400, "by category": constants})[1]
    assert row.against_identity.difference > 0.2
    assert row.verdict == "not beyond favourite answers"
    # Without the questions' texts it would be a gain.
    row = rows_of(examples_of(golds), {"identity": ["No"] * 400, "by category": constants})[1]
    assert row.verdict == "better"


TEMPLATES = (
    "{n} has {a} {t} and gets {b} more. Is the sum {m}?",
    "A box holds {a} {t}; {n} takes {b}. Is what is left {m}?",
    "{n} reads {a} pages, then {b}. Is the number of pages {m}?",
    "There are {a} {t} on a table and {b} under it. Is their number {m}?",
)
WORDS = {"n": ["Ann", "Bob", "Tom", "Mary"], "t": ["apples", "pears", "pens"]}


def word_problems(rng, categories):
    """Questions of many forms, of which one word says what category they are."""
    return [
        str(rng.choice(TEMPLATES)).format(
            **{name: rng.choice(words) for name, words in WORDS.items()},
            a=rng.integers(2, 99),
            b=rng.integers(2, 99),
            m=["odd", "even"][category],
        )
        for category in categories
    ]


@pytest.mark.parametrize("n", [150, 600])
def test_favourite_answers_of_categories_that_one_word_tells_apart_are_not_called_better(n):
    rng = np.random.default_rng(0)
    categories = rng.integers(0, 2, n)
    golds = [
        str(rng.choice(["Yes", "No"], p=[0.8, 0.2] if category else [0.2, 0.8]))
        for category in categories
    ]
    constants = ["Yes" if category else "No" for category in categories]
    examples = examples_of(golds, word_problems(rng, categories))
    row = rows_of(examples, {"identity": ["No"] * n, "by word": constants})[1]
    assert row.p_holm < 0.001
    assert row.verdict == "not beyond favourite answers"


@pytest.mark.parametrize("n_golds", [2, 40])
def test_skill_at_such_questions_is_called_better(n_golds):
    rng = np.random.default_rng(0)
    golds = drawn(rng, 300, n_golds)
    examples = examples_of(golds, word_problems(rng, rng.integers(0, 2, 300)))
    others = [str(number) for number in range(n_golds)]
    plain, knowing = (answered(rng, golds, skill, others) for skill in (0.1, 0.4))
    assert rows_of(examples, {"identity": plain, "p": knowing})[1].verdict == "better"


def test_skill_at_yes_or_no_is_more_than_a_favourite():
    rng = np.random.default_rng(1)
    golds = [str(g) for g in rng.choice(["Yes", "No"], 300)]
    plain = answered(rng, golds, 0.1, ["Yes", "No"])
    knowing = answered(rng, golds, 0.5, ["Yes", "No"])
    assert rows_of(examples_of(golds), {"identity": plain, "p": knowing})[1].verdict == "better"


def test_an_answer_does_not_go_to_a_question_that_is_the_same():
    examples = [Example(str(i), f"What is {i // 2}?", str(i // 2)) for i in range(20)]
    found = shuffled(examples, [example.gold for example in examples])
    assert found.value == 0


def test_copies_of_questions_do_not_make_a_gain_surer():
    rng = np.random.default_rng(0)
    golds = drawn(rng, 60, 30)
    plain, other = (answered(rng, golds, skill, "never") for skill in (0.3, 0.5))
    once = rows_of(examples_of(golds), {"identity": plain, "p": other})[1].beyond
    questions = [f"What is {i}?" for i in range(60)] * 5
    copied = rows_of(examples_of(golds * 5, questions), {"identity": plain * 5, "p": other * 5})
    assert copied[1].beyond.total == once.total == 60
    assert copied[1].beyond.error == pytest.approx(once.error, rel=0.05)
