"""What a judgement on held-out questions comes to: one policy that pays, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from skiploop.evaluation.policy_table import REFERENCE, PolicyRow

MOST_LOST = 0.02
"""Largest loss of right answers with which fewer layer passes are still called a gain."""


class Goal(StrEnum):
    """What is to be gained: right answers, layer passes, or both where both can be had."""

    accuracy = "accuracy"
    layers = "layers"
    both = "both"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What it comes to.

    Attributes:
        plain: The row of the plain model.
        best: The policy that is shown to pay, or else the one that was to do so; None if no policy
            could be made.
        is_more_right: Whether it is shown to be more often right.
        is_shorter: Whether it runs fewer layer passes, and a loss of `MOST_LOST` is ruled out.
    """

    plain: PolicyRow
    best: PolicyRow | None
    is_more_right: bool
    is_shorter: bool

    @property
    def is_shown(self) -> bool:
        """Whether anything is gained."""
        return self.is_more_right or self.is_shorter

    def figures(self) -> dict[str, object]:
        """Return all of it by name, policies in figures of their own."""
        return {
            "policy": self.best.policy if self.best and self.is_shown else REFERENCE,
            "is_more_right": self.is_more_right,
            "is_shorter": self.is_shorter,
        }


def outcome(rows: Sequence[PolicyRow], goal: Goal) -> Outcome:
    """Return what the rows of a report come to.

    Args:
        rows: The plain model, then one that was told to run fewer layers, then one that was not;
            each of the two only if the goal needs it. Of equals the first one is taken.
        goal: What was to be gained.
    """
    plain, *others = rows
    found = [_outcome(plain, row, goal) for row in others]
    if not found:
        return Outcome(plain=plain, best=None, is_more_right=False, is_shorter=False)
    return max(found, key=lambda one: (one.is_more_right, one.is_shorter))


def _outcome(plain: PolicyRow, row: PolicyRow, goal: Goal) -> Outcome:
    interval = row.against_identity.interval if row.against_identity else None
    is_as_right = interval is not None and interval[0] > -MOST_LOST
    is_shorter = row.mean_slots < plain.mean_slots and is_as_right
    return Outcome(
        plain=plain,
        best=row,
        is_more_right=goal is not Goal.layers and row.verdict == "better",
        is_shorter=goal is not Goal.accuracy and is_shorter,
    )
