"""Dense evidence: every question under every program, with how likely its right answer was.

A verdict is one bit, and most of them are the same for all programs. The probability that the
model gives the right answer moves with every program, so far fewer questions tell programs apart.

Shapes: Q questions, P programs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skiploop.program import Program
from skiploop.runner import TrialRunner
from skiploop.search.trials import Trial
from skiploop.tasks.base import Example


@dataclass(frozen=True)
class Evidence:
    """What some programs answered to some questions.

    Attributes:
        example_ids: The questions.
        programs: The programs.
        right_QP: 1 for a right answer, 0 for a wrong one, NaN for one that could not be graded.
        score_QP: The probability of the right answer, 0..1, when every token is drawn from the
            model; where that is not known, `right_QP`, and 0 for what could not be graded.
        weight_Q: How much each question counts, 1 on average, see `balanced`.
    """

    example_ids: tuple[str, ...]
    programs: tuple[Program, ...]
    right_QP: np.ndarray
    score_QP: np.ndarray
    weight_Q: np.ndarray

    def beside(self, other: Evidence) -> Evidence:
        """Return the table with further programs on the same questions; known ones stay as is."""
        new = [i for i, program in enumerate(other.programs) if program not in self.programs]
        return Evidence(
            self.example_ids,
            self.programs + tuple(other.programs[i] for i in new),
            np.hstack([self.right_QP, other.right_QP[:, new]]),
            np.hstack([self.score_QP, other.score_QP[:, new]]),
            self.weight_Q,
        )


def collect(
    runner: TrialRunner, examples: Sequence[Example], programs: Sequence[Program]
) -> Evidence:
    """Judge every question under every program.

    Cost:
        One verdict a cell, each at most once per run.
    """
    pairs = [(example, program) for example in examples for program in programs]
    trials = runner.judge(pairs, score_gold=True)
    shape = len(examples), len(programs)
    return Evidence(
        tuple(example.id for example in examples),
        tuple(programs),
        np.array([_right(trial) for trial in trials]).reshape(shape),
        np.array([_score(trial) for trial in trials]).reshape(shape),
        balanced(examples),
    )


def balanced(examples: Sequence[Example]) -> np.ndarray:
    """Return weight_Q under which all right answers of a kind count alike, however common.

    A program that makes the model prefer another answer, whatever it is asked, gains on the
    questions with that answer and loses as much on the others. Each kind keeps its share.
    """
    n_same = Counter((example.kind, example.gold) for example in examples)
    n_of_kind = Counter(example.kind for example in examples)
    n_answers = Counter(kind for kind, _ in n_same)
    return np.array(
        [n_of_kind[e.kind] / n_answers[e.kind] / n_same[e.kind, e.gold] for e in examples]
    )


def _right(trial: Trial) -> float:
    return math.nan if trial.correct is None else float(trial.correct)


def _score(trial: Trial) -> float:
    if trial.gold_logprob is None or math.isnan(trial.gold_logprob):
        return float(trial.correct is True)
    return math.exp(trial.gold_logprob)
