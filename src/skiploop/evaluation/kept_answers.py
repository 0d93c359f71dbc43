"""Answers of methods that run the model in a way of their own, kept in the run folder.

`RUN/answers/KEY.jsonl` holds the records of one method. The key changes with all that its answers
depend on, so what was written before an interruption is read and not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from skiploop.evaluation.records import Record, read_records, write_records
from skiploop.jsontext import digest
from skiploop.policies.base import Method

ANSWERS = "answers"
"""Folder of these files in a run."""


class KeptAnswers:
    """The answers that a folder holds of one model to the questions of one task.

    Args:
        folder: Made with the first answer.
        model_id: Identity of the model.
    """

    def __init__(self, folder: Path, model_id: str) -> None:
        self._folder = folder
        self._model_id = model_id

    def of(self, method: Method) -> dict[str, list[Record]]:
        """Return what is kept of a method, by question; nothing of one without a fingerprint.

        Raises:
            DataError: A file is damaged.
        """
        path = self._path(method)
        if path is None or not path.exists():
            return {}
        found: dict[str, list[Record]] = {}
        for record in read_records(path):
            found.setdefault(record.example_id, []).append(record)
        return found

    def keep(self, method: Method, found: Mapping[str, Sequence[Record]]) -> None:
        """Write what a method has answered so far, by question."""
        path = self._path(method)
        if path is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_records(path, [record for records in found.values() for record in records])

    def _path(self, method: Method) -> Path | None:
        known_by = method.fingerprint
        if known_by is None:
            return None
        return self._folder / f"{digest([self._model_id, method.name, known_by])}.jsonl"
