"""A control: the same answers, each given to another question.

A policy that changes which answer the model nearly always gives can become more often right without
any relation between question and answer. Given to others, such answers are
as good as before.

Shapes: N questions of a group, T different texts; 2: given to others, received from others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from skiploop.evaluation.records import Record
from skiploop.evaluation.shuffle_groups import shuffle_groups
from skiploop.stats import wilson
from skiploop.tasks.base import Example, Task

N_SHIFTS = 16
"""Other questions that each answer is given to, where it is not all of them."""


@dataclass(frozen=True)
class ShuffledAnswers:
    """What the answers of one policy are worth without their questions.

    Attributes:
        by_question: By id, how much the question and its answer have to do with the share. Its mean
            is the share of right answers if each went to another question of its group; its
            spread says how sure that is.

    Source:
        Hoeffding 1948, "A class of statistics with asymptotically normal distribution": the share
        is a mean over pairs of questions, and these are its projections on single ones.
    """

    by_question: Mapping[str, float]

    @property
    def value(self) -> float | None:
        """The share in 0..1, None if no answer could be given to another."""
        return float(np.mean(list(self.by_question.values()))) if self.by_question else None

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % Wilson interval, from as many tries as explain the spread."""
        if self.value is None:
            return None
        share = min(max(self.value, 0.0), 1.0)
        n_tries = float(len(self.by_question))
        spread = float(np.var(list(self.by_question.values())))
        if spread and share * (1 - share):
            n_tries *= share * (1 - share) / spread
        return wilson(share * n_tries, n_tries)

    def figures(self) -> dict[str, object]:
        """Return share, interval, questions and expected right answers as plain data."""
        low, high = self.interval or (None, None)
        total = len(self.by_question)
        count = sum(self.by_question.values())
        return {"count": count, "total": total, "value": self.value, "low": low, "high": high}


def shuffled_accuracy(
    records: Iterable[Record], task: Task, examples: Sequence[Example]
) -> dict[str, ShuffledAnswers]:
    """Return, by policy, right answers if its answers went to other questions of their group.

    Groups are those of `shuffle_groups`. No answer goes back to its own question,
    nor to one that is the same. If few answers of a policy are different, each goes to every other
    question of its group, else to `N_SHIFTS` of them, the same ones for all policies. Multiple
    choice is left out: another question has other choices.

    Cost:
        At most `N_SHIFTS` verdicts for each question and different answer to it.
    """
    texts: dict[str, dict[str, str]] = {}
    for record in records:
        if record.rank == 0:
            texts.setdefault(record.policy, {})[record.example_id] = record.text
    answered = set[str]().union(*texts.values()).intersection(*texts.values())
    written = [e for e in examples if e.id in answered and not e.choices]
    shares: dict[str, dict[str, float]] = {policy: {} for policy in texts}
    for group in shuffle_groups(written, texts):
        own = {policy: [by_id[e.id] for e in group] for policy, by_id in texts.items()}
        for policy, share_N in _projections(task, group, own).items():
            known = np.flatnonzero(~np.isnan(share_N))
            shares[policy] |= {group[i].id: float(share_N[i]) for i in known}
    return {policy: ShuffledAnswers(by_question) for policy, by_question in shares.items()}


def _projections(
    task: Task, examples: Sequence[Example], texts: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    """Return the numbers of `by_question` in one group, NaN where nothing was graded."""
    row_of = {text: row for row, text in enumerate(dict.fromkeys(chain(*texts.values())))}
    rows = {policy: np.array([row_of[text] for text in own]) for policy, own in texts.items()}
    shifts = {policy: _shifts(row_N) for policy, row_N in rows.items()}
    is_asked_TN = np.zeros((len(row_of), len(examples)), dtype=bool)
    for policy, row_N in rows.items():
        for shift in shifts[policy]:
            is_asked_TN[row_N, _receivers(row_N, shift)] = True
    asked = np.argwhere(is_asked_TN)
    different = list(row_of)
    grades = task.grade_many([examples[i] for _, i in asked], [different[row] for row, _ in asked])
    right_TN = np.full(is_asked_TN.shape, np.nan, dtype=np.float32)
    right_TN[is_asked_TN] = [np.nan if g.correct is None else g.correct for g in grades]
    number_of: dict[tuple[str, str], int] = {}
    same = [(example.group, example.answer_key) for example in examples]
    same_N = np.array([number_of.setdefault(key, len(number_of)) for key in same])
    return {
        policy: _projection(right_TN, row_N, same_N, shifts[policy])
        for policy, row_N in rows.items()
    }


def _shifts(row_N: np.ndarray) -> np.ndarray:
    """Return how many places answers move in each shift: all ways if few are different, or some."""
    moves = np.arange(1, len(row_N))
    if len(set(row_N.tolist())) <= N_SHIFTS:
        return moves
    return np.random.default_rng(len(moves)).permutation(moves)[:N_SHIFTS]


def _receivers(row_N: np.ndarray, shift: int) -> np.ndarray:
    return np.roll(np.arange(len(row_N)), -shift)


def _projection(
    right_TN: np.ndarray, row_N: np.ndarray, same_N: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Return how often each answer is right elsewhere and others are right for its question."""
    right_2N, known_2N = np.zeros((2, len(row_N))), np.zeros((2, len(row_N)))
    for shift in shifts:
        receivers_N = _receivers(row_N, shift)
        given_N = right_TN[row_N, receivers_N]
        given_N[same_N == same_N[receivers_N]] = np.nan
        found_2N = np.stack([given_N, np.roll(given_N, shift)])
        right_2N += np.nan_to_num(found_2N)
        known_2N += ~np.isnan(found_2N)
    share_2N = np.divide(right_2N, known_2N, out=np.full_like(right_2N, np.nan), where=known_2N > 0)
    share = right_2N.sum() / max(known_2N.sum(), 1)
    return np.asarray(share_2N.sum(0) - share)
