"""Policies against each other, not only against the plain model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from skiploop.evaluation.policy_table import REFERENCE
from skiploop.evaluation.records import Record
from skiploop.stats import Paired
from skiploop.tasks.base import Example


@dataclass(frozen=True)
class PairRow:
    """Two policies on the same questions.

    Attributes:
        first, second: Their names.
        paired: Their top-1 verdicts; the p-value is not adjusted for the number of pairs.
    """

    first: str
    second: str
    paired: Paired

    def figures(self) -> dict[str, object]:
        """Return all numbers as plain data."""
        return {"first": self.first, "second": self.second, **self.paired.figures()}


def pair_rows(records: Iterable[Record], examples: Sequence[Example] = ()) -> list[PairRow]:
    """Return one row for each two policies other than the identity, in their order."""
    groups = {example.id: example.group for example in examples}
    verdicts: dict[str, dict[str, bool | None]] = {}
    for record in records:
        if record.rank == 0 and record.policy != REFERENCE:
            verdicts.setdefault(record.policy, {})[record.example_id] = record.correct
    return [
        PairRow(
            first,
            second,
            Paired.of(
                ((verdict, verdicts[second].get(id_)) for id_, verdict in verdicts[first].items()),
                [groups.get(id_, id_) for id_ in verdicts[first]],
            ),
        )
        for first, second in combinations(verdicts, 2)
    ]
