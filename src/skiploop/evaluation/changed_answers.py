"""A few answers that a policy fixed or broke, to be read by a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skiploop.evaluation.policy_table import REFERENCE
from skiploop.evaluation.records import Record
from skiploop.tasks.base import Example

N_PER_CHANGE = 2
"""Answers shown for each policy and each sort of change."""

_N_CHARS = 400
_N_TAIL_CHARS = 120


@dataclass(frozen=True, kw_only=True)
class AnswerChange:
    """One question on which a policy and the identity got different verdicts.

    Long texts are shortened in the middle.

    Attributes:
        policy: The policy.
        change: `fixed` if only the policy is right, `broken` if only the identity is.
        example_id: The question.
        question: Its text.
        gold: The right answer.
        program: Text form of the policy's program.
        identity_text: What the plain model wrote.
        policy_text: What the model wrote under the program.
    """

    policy: str
    change: Literal["fixed", "broken"]
    example_id: str
    question: str
    gold: str
    program: str
    identity_text: str
    policy_text: str


def changed_answers(
    records: Sequence[Record], examples: Sequence[Example]
) -> tuple[AnswerChange, ...]:
    """Return the first fixed and the first broken answers of every policy."""
    top = {(r.policy, r.example_id): r for r in records if r.rank == 0}
    changes = []
    for policy in dict.fromkeys(r.policy for r in records):
        n_left = {"fixed": N_PER_CHANGE, "broken": N_PER_CHANGE}
        for example in examples:
            ours, plain = (top.get((name, example.id)) for name in (policy, REFERENCE))
            found = _change_of(ours, plain, example)
            if found and n_left[found.change]:
                n_left[found.change] -= 1
                changes.append(found)
    return tuple(changes)


def _change_of(ours: Record | None, plain: Record | None, example: Example) -> AnswerChange | None:
    """Return the changed answer to a question, None if the two verdicts do not contradict."""
    if ours is None or plain is None or {ours.correct, plain.correct} != {True, False}:
        return None
    return AnswerChange(
        policy=ours.policy,
        change="fixed" if ours.correct else "broken",
        example_id=example.id,
        question=shortened(example.question),
        gold=shortened(example.gold),
        program=str(ours.program),
        identity_text=shortened(plain.text),
        policy_text=shortened(ours.text),
    )


def shortened(text: str) -> str:
    """Return a text of at most some 400 characters, what is too much cut out of its middle."""
    if len(text) <= _N_CHARS:
        return text
    return f"{text[: _N_CHARS - _N_TAIL_CHARS]} … {text[-_N_TAIL_CHARS:]}"
