"""Answers of methods that run the model in a way of their own, kept in the run folder.

`RUN/answers/KEY.jsonl` holds the records of one method. The key changes with all that its answers
depend on, so what was written before an interruption is read and not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
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

    def of(self, method: Method) -> AnswersOf:
        """Return what is kept of a method, and is to be; nothing of one without a fingerprint.

        Raises:
            DataError: Its file is damaged.
        """
        known_by = method.fingerprint  # asked once: it may take all weights
        if known_by is None:
            return AnswersOf()
        name = digest([self._model_id, method.name, known_by])
        return AnswersOf(self._folder / f"{name}.jsonl")


class AnswersOf:
    """The answers of one method.

    Args:
        path: Of their file; None keeps them in memory alone.

    Attributes:
        by_question: Records by the id of their question.

    Raises:
        DataError: The file is damaged.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.by_question: dict[str, list[Record]] = {}
        self._path = path
        if path is not None and path.exists():
            for record in read_records(path):
                self.by_question.setdefault(record.example_id, []).append(record)

    def add(self, found: Mapping[str, list[Record]]) -> None:
        """Keep the records of some questions more."""
        self.by_question.update(found)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_records(self._path, [one for some in self.by_question.values() for one in some])
