"""A control: the same answers, dealt out to other questions.

A policy that changes which answer the model nearly always gives can become more often right without
any relation between question and answer. Dealt out at random, such answers are as good as before.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from skiploop.evaluation.records import Record
from skiploop.evaluation.stats import Share
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example, Grade, Task

N_DEALS = 5


def dealt_accuracy(
    records: Iterable[Record], task: Task, examples: Sequence[Example]
) -> dict[str, Share]:
    """Return, by policy, right answers if its answers went to questions of their kind at random.

    Args:
        records: Of all policies.
        task: Grades.
        examples: The questions. Multiple choice is left out: another question has other choices.

    Cost:
        `N_DEALS` verdicts for each policy and question.
    """
    written = {example.id: example for example in examples if not example.choices}
    texts: dict[str, dict[str, dict[str, str]]] = {}
    for record in records:
        if record.rank == 0 and record.example_id in written:
            kinds = texts.setdefault(record.policy, {})
            kind = written[record.example_id].kind
            kinds.setdefault(kind, {})[record.example_id] = record.text
    return {
        policy: Share.of(
            grade.correct
            for kind, by_id in kinds.items()
            for grade in _deal(task, [written[id_] for id_ in by_id], list(by_id.values()), kind)
        )
        for policy, kinds in texts.items()
    }


def _deal(
    task: Task, examples: Sequence[Example], texts: Sequence[str], kind: str
) -> Iterator[Grade]:
    rng = random.Random(derive_seed("deal", kind))
    for _ in range(N_DEALS):
        yield from task.grade_many(examples, rng.sample(texts, len(texts)))
