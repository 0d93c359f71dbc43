"""A dense table: every question under every program, with how likely its right answer was.

A verdict is one bit, and most of them are the same for all programs. The probability that the
model gives the right answer moves with every program, so far fewer questions tell programs apart.

Shapes: Q questions, P programs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from skiploop.clusters import MIN_SIZE, clusters, text_clusters
from skiploop.graders.writing import one_writing
from skiploop.programs.program import Program
from skiploop.tasks.base import Example, Task
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

N_OF_ANSWER = 10
"""Questions of each answer on average, in groups within which answers count alike."""


@dataclass(frozen=True)
class ScoreTable:
    """What some programs answered to some questions.

    Attributes:
        example_ids: The questions.
        programs: The programs.
        right_QP: 1 for a right answer, 0 for a wrong one, NaN for one that could not be graded.
        score_QP: The probability of the right answer, 0..1, when every token is drawn from the
            model; where that is not known, `right_QP`, and 0 for what could not be graded.
        weight_Q: How much each question counts, 1 on average, see `balanced`.
        answers: Category and `Example.answer_key` of each question.
        is_lost: For each question, whether the answer of the first program is right for none of
            its category, as far as the task tells: a word that is never right.
    """

    example_ids: tuple[str, ...]
    programs: tuple[Program, ...]
    right_QP: np.ndarray
    score_QP: np.ndarray
    weight_Q: np.ndarray
    answers: tuple[tuple[str, str], ...] = ()
    is_lost: tuple[bool, ...] = ()

    @property
    def worth_QP(self) -> np.ndarray:
        """What is learned from: half the verdict, half the probability; this alone if ungraded.

        The probability tells a near miss from a far one. The verdict tells what the grader takes
        for right, which may be written in other ways than the right answer is.
        """
        return np.where(np.isnan(self.right_QP), self.score_QP, (self.score_QP + self.right_QP) / 2)

    def beside(self, other: ScoreTable) -> ScoreTable:
        """Return the table with further programs on the same questions; known ones stay as is."""
        new = [i for i, program in enumerate(other.programs) if program not in self.programs]
        return replace(
            self,
            programs=self.programs + tuple(other.programs[i] for i in new),
            right_QP=np.hstack([self.right_QP, other.right_QP[:, new]]),
            score_QP=np.hstack([self.score_QP, other.score_QP[:, new]]),
        )

    def balanced_among(self, points_QF: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights under which right answers count alike among questions that look alike.

        Where the right answers are not known, the weights are those of the table.

        Args:
            points_QF: What is known of each question, such as states of a model.

        Returns:
            weight_Q, and blind_Q: what an answer that is given whatever is asked is worth there in
            place of that of the first program. That is nothing where both are right for some
            question, as all right answers weigh the same.
        """
        if not self.answers:
            return self.weight_Q, np.zeros(len(self.weight_Q))
        weight_Q, constant_Q = _balanced(
            self.answers, lambda some, size: clusters(points_QF[some], size)
        )
        return weight_Q, constant_Q * np.array(self.is_lost or [False])


def collect(
    runner: TrialRunner, examples: Sequence[Example], programs: Sequence[Program]
) -> ScoreTable:
    """Judge every question under every program.

    Cost:
        One verdict a cell, each at most once per run, and a few microseconds for each different
        wrong answer of the first program and each different right one.
    """
    pairs = [(example, program) for example in examples for program in programs]
    trials = runner.grade_pairs(pairs, score_gold=True)
    shape = len(examples), len(programs)
    return ScoreTable(
        tuple(example.id for example in examples),
        tuple(programs),
        np.array([_right(trial) for trial in trials]).reshape(shape),
        np.array([_score(trial) for trial in trials]).reshape(shape),
        balanced(examples),
        tuple((example.category, example.answer_key) for example in examples),
        _is_lost(runner.task, examples, trials[:: len(programs)]),
    )


def _is_lost(task: Task, examples: Sequence[Example], trials: Sequence[Trial]) -> tuple[bool, ...]:
    """Return whether each answer is wrong for all questions of the category of its own."""
    of_category: dict[str, dict[str, Example]] = {}
    for example in examples:
        of_category.setdefault(example.category, {})[example.answer_key] = example

    @cache
    def may_go_on_right(category: str, beginning: str) -> bool:
        return not all(
            task.can_only_be_wrong(one, beginning) for one in of_category[category].values()
        )

    def is_lost(example: Example, trial: Trial) -> bool:
        if trial.correct is not False:
            return False
        if trial.stopped_by == "decided":
            return not may_go_on_right(example.category, trial.text)
        names = {trial.answer, one_writing(trial.answer, example.choices)}
        return of_category[example.category].keys().isdisjoint(names)

    return tuple(map(is_lost, examples, trials))


def balanced(examples: Sequence[Example]) -> np.ndarray:
    """Return weight_Q under which all right answers of a category count alike, however common.

    A program that makes the model prefer another answer, whatever it is asked, gains on the
    questions with that answer and loses as much on the others. Each category keeps its share. Where
    few answers are different, questions whose texts look alike are a category of their own.
    """
    questions = np.array([example.question for example in examples], dtype=object)
    answers = [(example.category, example.answer_key) for example in examples]
    return _balanced(answers, lambda some, size: text_clusters(questions[some], size))[0]


def _balanced(
    answers: Sequence[tuple[str, str]], split: Callable[[np.ndarray, int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights, in groups so large that every answer comes often in most of them.

    All answers of a group weigh the same, so any one of them is right in as many parts of it as
    there are different ones. That share of each question's group is returned, too.
    """
    of_category: dict[str, list[int]] = {}
    for i, (category, _) in enumerate(answers):
        of_category.setdefault(category, []).append(i)
    weight_Q, constant_Q = np.ones(len(answers)), np.ones(len(answers))
    for some in of_category.values():
        n_different = len({answers[i] for i in some})
        groups = split(np.array(some), max(MIN_SIZE, N_OF_ANSWER * n_different))
        found = [(group, answers[i]) for group, i in zip(groups.tolist(), some, strict=True)]
        n_same, n_of_group = Counter(found), Counter(group for group, _ in found)
        n_answers = Counter(group for group, _ in n_same)
        weight_Q[some] = [n_of_group[g] / n_answers[g] / n_same[g, answer] for g, answer in found]
        constant_Q[some] = [1 / n_answers[g] for g, _ in found]
    return weight_Q, constant_Q


def _right(trial: Trial) -> float:
    return math.nan if trial.correct is None else float(trial.correct)


def _score(trial: Trial) -> float:
    if trial.gold_logprob is None or math.isnan(trial.gold_logprob):
        return float(trial.correct is True)
    return math.exp(trial.gold_logprob)
