"""Right answers among the surest ones: what a policy is worth that may abstain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from skiploop.evaluation.records import Record
from skiploop.stats import Share

COVERAGES = (100, 75, 50, 25)
"""Percent of the questions that get an answer."""


@dataclass(frozen=True)
class RiskRow:
    """The surest answers of one policy.

    Attributes:
        policy: Its name.
        coverage: Percent of its graded answers that are kept, at least.
        threshold: Confidence of the least sure of them.
        accuracy: Right answers among all that are as sure; ties are kept together, as by a policy
            that abstains below the threshold.
    """

    policy: str
    coverage: int
    threshold: float
    accuracy: Share


def risk_rows(records: Iterable[Record]) -> list[RiskRow]:
    """Return one row for each policy and coverage; answers without a verdict are left out."""
    answers: dict[str, list[tuple[float, bool]]] = {}
    for record in records:
        if record.rank == 0 and record.confidence is not None and record.correct is not None:
            answers.setdefault(record.policy, []).append((record.confidence, record.correct))
    return [
        _row(policy, coverage, found) for policy, found in answers.items() for coverage in COVERAGES
    ]


def _row(policy: str, coverage: int, answers: list[tuple[float, bool]]) -> RiskRow:
    surest = sorted((confidence for confidence, _ in answers), reverse=True)
    n_kept = -(-len(answers) * coverage // 100)
    threshold = surest[n_kept - 1]
    kept = Share.of(correct for confidence, correct in answers if confidence >= threshold)
    return RiskRow(policy, coverage, threshold, kept)
