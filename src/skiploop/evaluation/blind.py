"""What an answer is worth that is given whatever is asked.

A plain model that is right less often has not understood what it is to write, as a rule. Whatever
changes its answers then looks like a gain, so the prompt comes first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from skiploop.tasks.base import Example


def blind_accuracy(examples: Sequence[Example]) -> float | None:
    """Return the share of right answers of one who knows the category of a question and no more.

    The answer is the one that is right for most other questions of the category, equal questions
    counted once; of choices it is any.

    Returns:
        The share in 0..1, None without questions.
    """
    answers = {(example.category, example.group): example.answer_key for example in examples}
    counts: dict[str, Counter[str]] = {}
    for (category, _), answer in answers.items():
        counts.setdefault(category, Counter())[answer] += 1
    return fmean(_right(example, counts) for example in examples) if examples else None


def _right(example: Example, counts: dict[str, Counter[str]]) -> float:
    if example.choices:
        return 1 / len(example.choices)
    found = counts[example.category]
    others = max((n for answer, n in found.items() if answer != example.answer_key), default=0)
    return float(found[example.answer_key] - 1 > others)
