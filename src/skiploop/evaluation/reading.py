"""What a report says in sentences: its conclusions, and how to read its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.evaluation.policy_table import PolicyRow, Verdict
from skiploop.evaluation.report import Report
from skiploop.evaluation.stats import SIGNIFICANCE

HOW_TO_READ = (
    "Top-1 is what a user gets: one program for each prompt, chosen without the answer.",
    "An oracle number counts a question as solved if any of several programs solves it, judged "
    "with the gold answer. Nobody can choose that way on a new question, and the number grows with "
    "every program tried, by chance alone: read it next to the chance control, never next to "
    "top-1.",
    "Intervals are 95 % Wilson intervals of one share. Two policies answer the same questions, so "
    "they are compared by McNemar's exact test on the questions on which they differ; Holm's "
    "correction covers all tests of the table. No difference shown does not mean that there is "
    "none.",
    "An answer that could not be graded is counted as ungraded, neither right nor wrong.",
)
"""How to read the numbers, one paragraph each."""


def conclusions(report: Report) -> list[str]:
    """Return what the tests of the report say, one sentence each."""
    tested = [row for row in report.policies if row.against_identity]
    if not tested:
        return []
    lines = [
        _verdict_line(tested, "better", "Better than the identity"),
        _verdict_line(tested, "worse", "Worse than the identity"),
        _verdict_line(tested, "no difference shown", "No difference from the identity shown"),
        f"With {len(tested)} tested, a policy that breaks no answer must fix at least "
        f"{fewest_fixed(len(tested))} to be called better.",
    ]
    return [line for line in lines if line]


def fewest_fixed(n_tests: int) -> int:
    """Return how many questions must be fixed, none broken, for a significant difference.

    The smallest of `n_tests` p-values must be below `SIGNIFICANCE / n_tests`, and b fixed
    questions give p = 2 * 0.5**b.
    """
    n_fixed = 1
    while 2 * 0.5**n_fixed * n_tests >= SIGNIFICANCE:
        n_fixed += 1
    return n_fixed


def _verdict_line(rows: Sequence[PolicyRow], verdict: Verdict, words: str) -> str:
    names = ", ".join(row.policy for row in rows if row.verdict == verdict)
    return f"{words} (adjusted p, 5 %): {names}." if names else ""
