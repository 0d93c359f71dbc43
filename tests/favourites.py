"""Answerers made of skill and favourite answers, and what a report says of them."""

from collections import Counter

import numpy as np

from skiploop import Program
from skiploop.evaluation.policy_table import policy_rows
from skiploop.evaluation.records import Record
from skiploop.evaluation.shuffled_answers import shuffled_accuracy
from skiploop.graders.exact import grade_text
from skiploop.tasks.base import Example

IDENTITY, OTHER = Program.identity(6), Program.parse("2:3x0", 6)


class TextTask:
    """Grades texts as written tasks do."""

    def grade_many(self, examples, texts):
        return [grade_text(text, e.gold) for e, text in zip(examples, texts, strict=True)]


def records(policy, examples, texts):
    program = IDENTITY if policy == "identity" else OTHER
    grades = TextTask().grade_many(examples, texts)
    return [
        Record(
            policy=policy,
            example_id=example.id,
            rank=0,
            program=program,
            correct=grade.correct,
            n_tokens=1,
            text=text,
        )
        for example, text, grade in zip(examples, texts, grades, strict=True)
    ]


def rows_of(examples, answers):
    """The rows of a table, of policies by name with a text for each question."""
    found = [r for policy, texts in answers.items() for r in records(policy, examples, texts)]
    return policy_rows(found, examples, shuffled_accuracy(found, TextTask(), examples))


def examples_of(golds, questions=None):
    questions = questions or [f"What is {i}?" for i in range(len(golds))]
    pairs = enumerate(zip(questions, golds, strict=True))
    return [Example(str(i), question, gold) for i, (question, gold) in pairs]


def drawn(rng, n, n_golds, skew=1.0):
    """Right answers, the first ones common and the last ones rare."""
    shares = 1 / np.arange(1, n_golds + 1) ** skew
    return [str(found) for found in rng.choice(n_golds, n, p=shares / shares.sum())]


def answered(rng, golds, skill, favourite):
    """The right answer as often as the skill says, else a favourite, or one of several."""
    others = [favourite] if isinstance(favourite, str) else favourite
    knows = rng.random(len(golds)) < skill
    return [
        gold if known else str(rng.choice(others)) for gold, known in zip(golds, knows, strict=True)
    ]


NULLS = {
    "a common word in place of a rare one": (0.0, "25", "0"),
    "a word that is never right, a constant": (0.0, "The", "0"),
    "a word that is never right, two at random": (0.0, "The", ["0", "1"]),
    "equal skill, a common word in place of a rare one": (0.15, "25", "0"),
    "equal skill, a word that is never right": (0.15, "The", ["0", "1", "2"]),
}
"""By name: the skill of both, the favourite of the identity and that of the policy."""


def verdicts(null, n, repetitions, *, n_golds=30, gain=0.0, seed=0):
    """How often a policy gets which verdict that knows as many answers more as `gain` says."""
    skill, plain, other = NULLS[null]
    found = Counter()
    for repetition in range(repetitions):
        rng = np.random.default_rng([seed, repetition])
        golds = drawn(rng, n, n_golds)
        answers = {
            "identity": answered(rng, golds, skill, plain),
            "policy": answered(rng, golds, skill + gain, other),
        }
        found[rows_of(examples_of(golds), answers)[1].verdict] += 1
    return found
