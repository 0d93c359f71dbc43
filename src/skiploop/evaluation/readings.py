"""How often held-out questions have been read: what was chosen by them says too much about them.

Every evaluation of a run looks at the right answers of its questions. Whoever changes a menu or a
price after it has chosen by these questions, too. So a run keeps which questions were read, and for
which policies; a report says so beside its numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skiploop.errors import DataError
from skiploop.evaluation.records import RECORDS, read_records
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.tasks.base import Example

READINGS = "readings.jsonl"


@dataclass(frozen=True)
class Reading:
    """One evaluation.

    Attributes:
        example_ids: The questions.
        policies: What was judged by them.
    """

    example_ids: tuple[str, ...]
    policies: tuple[str, ...]


@dataclass(frozen=True)
class ReadBefore:
    """What earlier evaluations of a run have read of some questions.

    Attributes:
        n_questions: All of them.
        n_read: Those that were read before, they or their equals.
        n_times: Evaluations that read at least one of them.
        policies: What was judged by them.
    """

    n_questions: int
    n_read: int
    n_times: int
    policies: tuple[str, ...]


def read_readings(run: Path) -> list[Reading]:
    """Return the evaluations of a run, the first one first.

    A run from before readings were kept has at most one that is known, its last.

    Raises:
        DataError: The file is damaged.
    """
    path = run / READINGS
    if not path.exists():
        return _from_records(run / RECORDS)
    readings = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            data = json.loads(line)
            readings.append(Reading(tuple(data["example_ids"]), tuple(data["policies"])))
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path}, line {number} is damaged: restore it, or delete the file; then nobody "
                "knows how often the questions were read"
            ) from error
    return readings


def write_readings(run: Path, readings: Sequence[Reading]) -> None:
    """Write the evaluations of a run; an existing file is replaced in one step."""
    lines = (json_text(reading) for reading in readings)
    write_atomic(run / READINGS, "".join(f"{line}\n" for line in lines))


def read_before(
    readings: Sequence[Reading], everything: Sequence[Example], asked: Sequence[Example]
) -> ReadBefore:
    """Return what was read of some questions."""
    group_of = {example.id: example.group for example in everything}
    wanted = {example.group for example in asked}
    found = [
        (reading, wanted.intersection(map(group_of.get, reading.example_ids)))
        for reading in readings
    ]
    read = set().union(*(groups for _, groups in found))
    return ReadBefore(
        n_questions=len(asked),
        n_read=sum(example.group in read for example in asked),
        n_times=sum(bool(groups) for _, groups in found),
        policies=tuple(
            dict.fromkeys(name for reading, groups in found if groups for name in reading.policies)
        ),
    )


def unread(readings: Sequence[Reading], everything: Sequence[Example]) -> list[Example]:
    """Return the questions of which neither they nor their equals were read."""
    read_ids = {id_ for reading in readings for id_ in reading.example_ids}
    read = {example.group for example in everything if example.id in read_ids}
    return [example for example in everything if example.group not in read]


def _from_records(path: Path) -> list[Reading]:
    if not path.exists():
        return []
    records = read_records(path)
    ids = dict.fromkeys(record.example_id for record in records)
    return [Reading(tuple(ids), tuple(dict.fromkeys(record.policy for record in records)))]
