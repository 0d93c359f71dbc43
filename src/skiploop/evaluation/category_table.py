"""Right answers by category of question: where a gain comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skiploop.evaluation.records import Record
from skiploop.stats import Share
from skiploop.tasks.base import Example


@dataclass(frozen=True)
class CategoryRow:
    """The questions of one category.

    Attributes:
        category: `Example.category`.
        accuracy: By policy, the share of right top-1 answers.
    """

    category: str
    accuracy: Mapping[str, Share]


def category_rows(records: Iterable[Record], examples: Sequence[Example]) -> list[CategoryRow]:
    """Return one row for each category of question, in the order in which they first come.

    Returns:
        Nothing if all questions are of one category.
    """
    category_of = {example.id: example.category for example in examples}
    categories = list(dict.fromkeys(category_of.values()))
    verdicts: dict[str, dict[str, list[bool | None]]] = {category: {} for category in categories}
    for record in records:
        if record.rank == 0 and record.example_id in category_of:
            by_policy = verdicts[category_of[record.example_id]]
            by_policy.setdefault(record.policy, []).append(record.correct)
    if len(categories) < 2:
        return []
    return [
        CategoryRow(category, {policy: Share.of(found) for policy, found in by_policy.items()})
        for category, by_policy in verdicts.items()
    ]
