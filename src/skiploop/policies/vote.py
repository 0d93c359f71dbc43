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

Weigh = Callable[
    [Sequence[str], Sequence[Sequence[Program]], Sequence[Sequence[float | None]]],
    Sequence[Sequence[float]],
]
"""From prompts, the programs that answered each of them and the log-probability of each answer
(None where the logits were not numbers) to the weight of each answer, 0..1."""


@dataclass(frozen=True)
class Ballot:
    """The answer of one program.

    Attributes:
        answer: What counts as the same answer has the same text.
        weight: From 0 to 1.
    """

    answer: str
    weight: float


@dataclass(frozen=True)
class Outcome:
    """The end of a vote.

    Attributes:
        winner: The ballot with the greatest weight among those for the answer that won.
        n_asked: Ballots after which no later one could change that answer.
        confidence: Weight of that answer over all ballots, divided by their number, 0..1.
    """

    winner: int
    n_asked: int
    confidence: float

    def winner_first(self, answers: Sequence[Answer]) -> list[Answer]:
        """Return the answers that the ballots are of, the winner moved to the front."""
        won = self.winner
        return [answers[won], *answers[:won], *answers[won + 1 :]]


def count(ballots: Sequence[Ballot]) -> Outcome:
    """Return which answer gets most weight; of equals, the one that was given first.

    Ballots are asked for one after the other, and no more of them than decide the vote: no ballot
    weighs more than 1, so a lead of more than the number of those left cannot be caught up with.

    Guarantees:
        The answer that wins is that of all ballots (tests/unit/test_vote.py).
    """
    totals: dict[str, float] = {}
    best_of: dict[str, int] = {}
    for index, ballot in enumerate(ballots):
        totals[ballot.answer] = totals.get(ballot.answer, 0.0) + ballot.weight
        best = best_of.setdefault(ballot.answer, index)
        if ballot.weight > ballots[best].weight:
            best_of[ballot.answer] = index
        leader = max(totals, key=lambda answer: totals[answer])
        others = [total for answer, total in totals.items() if answer != leader]
        n_left = len(ballots) - index - 1
        if totals[leader] - max(others, default=0.0) > n_left:
            break
    weight = sum(ballot.weight for ballot in ballots if ballot.answer == leader)
    return Outcome(best_of[leader], index + 1, weight / len(ballots))


def elect(answers: Sequence[str], texts: Sequence[str], weights: Sequence[float]) -> Outcome:
    """Return which of several answers to one question wins.

    Args:
        answers: What a grader took for the answer in each text, empty if it found none.
        texts: What was written.
        weights: Of each answer, 0..1.
    """
    ballots = zip(spoken(answers, texts), weights, strict=True)
    return count([Ballot(answer, weight) for answer, weight in ballots])


def spoken(answers: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return what counts as the same answer: the one that a grader found, or else the text."""
    return [answer or text for answer, text in zip(answers, texts, strict=True)]


def probability(logprob: float | None) -> float:
    """Return the probability of an answer, 0 where the logits were not numbers."""
    return 0.0 if logprob is None else math.exp(logprob)


def by_probability(
    _prompts: Sequence[str],
    _programs: Sequence[Sequence[Program]],
    logprobs: Sequence[Sequence[float | None]],
) -> list[list[float]]:
    """Return how likely each answer is to the model that gave it."""
    return [[probability(one) for one in found] for found in logprobs]


def alike(
    _prompts: Sequence[str],
    _programs: Sequence[Sequence[Program]],
    logprobs: Sequence[Sequence[float | None]],
) -> list[list[float]]:
    """Return 1 for every answer, 0 where the logits were not numbers."""
    return [[float(one is not None) for one in found] for found in logprobs]


class Vote(PolicyMethod):
    """Asks the best programs of a policy and combines their answers.

    Args:
        policy: Ranks the programs.
        n_programs: How many of them have a vote.
        weigh: How much the answers count.
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
        weights = self.weigh(
            [evaluator.prompt(example) for example in examples],
            [[trial.program for trial in found] for found in trials],
            [[trial.logprob for trial in found] for found in trials],
        )
        answers = answers_of(examples, trials, evaluator)
        return list(map(_counted, answers, trials, weights))


def _counted(
    answers: Sequence[Answer], trials: Sequence[Trial], weights: Sequence[float]
) -> list[Answer]:
    outcome = elect([one.answer for one in trials], [one.text for one in trials], weights)
    asked = answers[: outcome.n_asked]
    cost = Cost(
        n_passes=count_nodes([one.program.layer_inputs for one in asked]),
        kv_bytes=held_by_all(asked),
    )
    first, *others = outcome.winner_first(answers)
    return [replace(first, cost=cost, confidence=outcome.confidence), *others]
