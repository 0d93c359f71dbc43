"""Right answers by kind of question: where a gain comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from skiploop.evaluation.records import Record
from skiploop.stats import Share
from skiploop.tasks.base import Example


@dataclass(frozen=True)
class KindRow:
    """The questions of one kind.

    Attributes:
        kind: `Example.kind`.
        accuracy: By policy, the share of right top-1 answers.
    """

    kind: str
    accuracy: Mapping[str, Share]

    def to_dict(self) -> dict[str, object]:
        """Return all numbers as plain data."""
        shares = {policy: share.to_dict() for policy, share in self.accuracy.items()}
        return {"kind": self.kind, "accuracy": shares}


def kind_rows(records: Iterable[Record], examples: Sequence[Example]) -> list[KindRow]:
    """Return one row for each kind of question, in the order in which they first come.

    Returns:
        Nothing if all questions are of one kind.
    """
    kind_of = {example.id: example.kind for example in examples}
    kinds = list(dict.fromkeys(kind_of.values()))
    verdicts: dict[str, dict[str, list[bool | None]]] = {kind: {} for kind in kinds}
    for record in records:
        if record.rank == 0 and record.example_id in kind_of:
            by_policy = verdicts[kind_of[record.example_id]]
            by_policy.setdefault(record.policy, []).append(record.correct)
    if len(kinds) < 2:
        return []
    return [
        KindRow(kind, {policy: Share.of(found) for policy, found in by_policy.items()})
        for kind, by_policy in verdicts.items()
    ]
