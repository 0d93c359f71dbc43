"""Answers to one prompt, by the methods that an evaluation judges."""

from __future__ import annotations

from skiploop.policies.base import Answer, FixedPolicy, PolicyMethod, Ranked
from skiploop.policies.polar.policy import PredictorPolicy
from skiploop.policies.selector.choice import MenuChoice
from skiploop.policies.vote import Vote, probability
from skiploop.tasks.asked import AskedTask
from skiploop.trials.evaluator import Evaluator


def answer_asked(
    policy: PredictorPolicy | MenuChoice | FixedPolicy,
    task: AskedTask,
    evaluator: Evaluator,
    n_voters: int | None = None,
) -> list[Answer]:
    """Return the answer of a policy to a prompt, and those that it won against.

    The program is chosen while the prompt runs, where the policy can do that: its first layers run
    once.

    Args:
        policy: Chooses.
        task: The prompt.
        evaluator: Runs it.
        n_voters: How many programs of the policy vote, as in `vote:K`; None to answer with one.

    Raises:
        ConfigError: The policy has fewer programs than are to vote.
    """
    method: PolicyMethod = (
        Vote(policy, n_voters, weigh=probability, name=f"vote:{n_voters}")
        if n_voters
        else Ranked(policy)
    )
    return method.answer_alone(task.asked, evaluator)
