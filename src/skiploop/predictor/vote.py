"""Votes: the answers of several programs become one, without the gold answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skiploop.policy import Policy
from skiploop.program import Program

Weigh = Callable[
    [Sequence[str], Sequence[Sequence[Program]], Sequence[Sequence[float]]],
    Sequence[Sequence[float]],
]
"""From prompts, the programs that answered each of them and the probability of each answer (0 where
the logits were not numbers) to the weight of each answer, 0..1."""


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
        n_asked: Ballots after which no later one could change that answer, or whether it is sure
            enough.
        confidence: Weight of that answer over all ballots, divided by their number, 0..1.
    """

    winner: int
    n_asked: int
    confidence: float


def count(ballots: Sequence[Ballot], abstain_below: float = 0.0) -> Outcome:
    """Return which answer gets most weight; of equals, the one that was given first.

    Ballots are asked for one after the other, and no more of them than decide the vote: no ballot
    weighs more than 1, so a lead of more than the number of those left cannot be caught up with.

    Args:
        ballots: In the order of asking, at least one.
        abstain_below: An outcome of less confidence is no answer. Ballots are asked for until it
            is decided, too, on which side the outcome is.

    Guarantees:
        The answer that wins, and whether its confidence is enough, are those of all ballots
        (tests/unit/test_vote.py).
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
        has_won = totals[leader] - max(others, default=0.0) > n_left
        least, most = (total / len(ballots) for total in (totals[leader], totals[leader] + n_left))
        if has_won and (least >= abstain_below or most < abstain_below):
            break
    weight = sum(ballot.weight for ballot in ballots if ballot.answer == leader)
    return Outcome(best_of[leader], index + 1, weight / len(ballots))


def probability(logprob: float | None) -> float:
    """Return the probability of an answer, 0 where the logits were not numbers."""
    return 0.0 if logprob is None or math.isnan(logprob) else math.exp(logprob)


def by_probability(
    _prompts: Sequence[str],
    _programs: Sequence[Sequence[Program]],
    probabilities: Sequence[Sequence[float]],
) -> Sequence[Sequence[float]]:
    """Return how likely each answer is to the model that gave it."""
    return probabilities


def alike(
    _prompts: Sequence[str],
    _programs: Sequence[Sequence[Program]],
    probabilities: Sequence[Sequence[float]],
) -> list[list[float]]:
    """Return 1 for every answer."""
    return [[float(one > 0) for one in found] for found in probabilities]


class VotePolicy:
    """Asks the best programs of another policy and combines their answers.

    Args:
        policy: Ranks the programs.
        n_programs: How many of them have a vote.
        weigh: How much the answers count.
        name: Name in tables.
    """

    def __init__(self, policy: Policy, n_programs: int, *, weigh: Weigh, name: str) -> None:
        self.policy = policy
        self.n_programs = n_programs
        self.weigh = weigh
        self.name = name

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the programs that have a vote, whatever `k` is."""
        return self.policy.rank(prompts, self.n_programs)
