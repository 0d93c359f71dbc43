"""Votes: the answers of several programs become one, without the gold answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from skiploop.engine.plan.beginnings import count_nodes
from skiploop.errors import ConfigError
from skiploop.policies.base import Answer, Cost, Policy, PolicyMethod, answers_of, held_by_all
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator
from skiploop.trials.store import Trial

Weigh = Callable[[float | None], float]
"""From the log-probability of an answer, None where the logits were not numbers, to its weight."""


@dataclass(frozen=True)
class Outcome:
    """The end of a vote.

    Attributes:
        winner: The place of the answer that won; of equal ones that of the greatest weight.
        n_asked: Answers after which no later one could change that.
        confidence: Weight of what won over all answers, divided by their number, 0..1.
    """

    winner: int
    n_asked: int
    confidence: float

    def winner_first(self, answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers that the vote was about, the winner moved to the front."""
        won = self.winner
        return [answers[won], *answers[:won], *answers[won + 1 :]]


def elect(answers: Sequence[str], texts: Sequence[str], weights: Sequence[float]) -> Outcome:
    """Return which answer gets most weight; of equals, the one that was given first.

    They are asked for one after the other, and no more of them than decide the vote: no answer
    weighs more than 1, so a lead of more than the number of those left cannot be caught up with.

    Args:
        answers: What a grader took for the answer in each text, empty if it found none: then the
            text is.
        texts: What was written.
        weights: Of each answer, 0..1.

    Guarantees:
        The answer that wins is that of all (tests/unit/test_vote.py).
    """
    said = spoken(answers, texts)
    totals: dict[str, float] = {}
    best_of: dict[str, int] = {}
    for index, (answer, weight) in enumerate(zip(said, weights, strict=True)):
        totals[answer] = totals.get(answer, 0.0) + weight
        best = best_of.setdefault(answer, index)
        if weight > weights[best]:
            best_of[answer] = index
        leader = max(totals, key=lambda answer: totals[answer])
        others = [total for answer, total in totals.items() if answer != leader]
        n_left = len(said) - index - 1
        if totals[leader] - max(others, default=0.0) > n_left:
            break
    of_all = sum(one for answer, one in zip(said, weights, strict=True) if answer == leader)
    return Outcome(best_of[leader], index + 1, of_all / len(said))


def spoken(answers: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return what counts as the same answer: the one that a grader found, or else the text."""
    return [answer or text for answer, text in zip(answers, texts, strict=True)]


def probability(logprob: float | None) -> float:
    """Return the probability of an answer, 0 where the logits were not numbers."""
    return 0.0 if logprob is None else math.exp(logprob)


def alike(logprob: float | None) -> float:
    """Return 1 for every answer, 0 where the logits were not numbers."""
    return float(logprob is not None)


class Vote(PolicyMethod):
    """Asks the best programs of a policy and combines their answers.

    Args:
        policy: Ranks the programs.
        n_programs: How many of them have a vote.
        weigh: How much an answer counts, 0..1.
        name: Name in tables.
    """

    def __init__(self, policy: Policy, n_programs: int, *, weigh: Weigh, name: str) -> None:
        super().__init__(policy, n_programs, name)
        self.weigh = weigh

    def choose(self, prompts: Sequence[str]) -> list[list[Program]]:
        """Return the programs that have a vote.

        Raises:
            ConfigError: The policy has fewer.
        """
        ranked = super().choose(prompts)
        fewest = min(map(len, ranked), default=self.k)
        if fewest < self.k:
            raise ConfigError(
                f"{self.k} programs were to vote, {self.policy.name} has {fewest} to choose from: "
                f"ask for {fewest} at most"
            )
        return ranked

    def combine(
        self,
        examples: Sequence[Example],
        trials: Sequence[Sequence[Trial]],
        evaluator: Evaluator,
    ) -> list[list[Answer]]:
        """Return the answer that wins, with what the whole vote took, and then the others."""
        answers = answers_of(examples, trials, evaluator)
        return list(map(self._counted, answers, trials))

    def _counted(self, answers: Sequence[Answer], trials: Sequence[Trial]) -> list[Answer]:
        outcome = elect(
            [one.answer for one in trials],
            [one.text for one in trials],
            [self.weigh(one.logprob) for one in trials],
        )
        asked = answers[: outcome.n_asked]
        cost = Cost(
            n_passes=count_nodes([one.program.layer_inputs for one in asked]),
            kv_bytes=held_by_all(asked),
        )
        first, *others = outcome.winner_first(answers)
        return [replace(first, cost=cost, confidence=outcome.confidence), *others]
