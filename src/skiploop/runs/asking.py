"""Answers to one prompt, by the methods that an evaluation judges."""

from __future__ import annotations

from skiploop.policies.base import Answer, Policy, PolicyMethod, Ranked
from skiploop.policies.vote import Vote, probability
from skiploop.tasks.asked import AskedTask
from skiploop.trials.evaluator import Evaluator


def answer_asked(
    policy: Policy, task: AskedTask, evaluator: Evaluator, n_voters: int | None = None
) -> list[Answer]:
    """Return the answer of a policy to a prompt, and those that it won against.

    The program is chosen while the prompt runs, where the policy can do that: its first layers run
    once. With `n_voters`, so many programs of the policy vote, as in `vote:K`.

    Raises:
        ConfigError: The policy has fewer programs than are to vote.
    """
    method: PolicyMethod = (
        Vote(policy, n_voters, weigh=probability, name=f"vote:{n_voters}")
        if n_voters
        else Ranked(policy)
    )
    return method.answer_alone(task.asked, evaluator)
