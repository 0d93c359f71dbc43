"""Votes: several programs of a policy answer, and the answer with most weight is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from skiploop.policies.vote import elect, probability
from skiploop.programs.program import Program
from skiploop.server.answers import Form, Json, usage
from skiploop.server.errors import wrong
from skiploop.server.events import Ask, Ended
from skiploop.server.protocol import Writing
from skiploop.server.variants import Chooser, FixedVariant


def voting_policy(body: Writing, asks: Sequence[Ask]) -> Chooser | None:
    """Return whose programs vote on a request; None where nobody votes.

    Raises:
        ApiError: Nothing chooses there, or the request is not for one whole answer.
    """
    if body.vote is None:
        if body.abstain_below is not None:
            raise wrong("abstain_below", "abstain_below is about the weight of a vote: give vote")
        return None
    if body.stream:
        raise wrong("stream", "the answer of a vote comes when all have answered: leave out stream")
    if len(asks) != 1:
        raise wrong("vote", "a vote is on one answer: give one prompt, and no n")
    policy = asks[0].variant.policy
    if policy is None:
        raise wrong("vote", f"{asks[0].variant.name} is one program: name a policy in model")
    return policy


def voters(ask: Ask, programs: Sequence[Program], n: int) -> list[Ask]:
    """Return the same ask for each program that has a vote.

    Raises:
        ApiError: There are fewer programs than were to vote.
    """
    if len(programs) < n:
        raise wrong("vote", f"{ask.variant.name} has {len(programs)} programs: ask for no more")
    name = ask.variant.name
    return [replace(ask, variant=FixedVariant(name, program)) for program in programs]


def voted_body(
    form: Form, policy: Chooser, ask: Ask, endings: Sequence[Ended], abstain_below: float
) -> Json:
    """Return the answer that wins, or none where that is not sure enough."""
    completions = [ended.completion for ended in endings]
    texts = [one.text for one in completions]
    read = policy.form.read(ask.prompt, texts) if policy.form else [""] * len(texts)
    outcome = elect(read, texts, [probability(one.logprob) for one in completions])
    winner = endings[outcome.winner]
    has_abstained = outcome.confidence < abstain_below
    vote: Json = {
        "confidence": outcome.confidence,
        "abstained": has_abstained,
        "votes": [
            {"program": str(one.program), "text": one.text, "weight": probability(one.logprob)}
            for one in completions
        ],
    }
    if has_abstained:
        winner = replace(winner, completion=replace(winner.completion, text=""))
    body = form.body([winner], winner.n_prompt_tokens, vote)
    return {**body, "usage": usage(endings, winner.n_prompt_tokens)}
