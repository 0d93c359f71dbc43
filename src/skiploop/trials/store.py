"""The durable record of every evaluated (example, program): one SQLite file.

A trial is written when it was graded; whatever asks for the same pair later reads it back. Only a
trial whose text is a beginning gives way, to the whole text once that is asked for. Who asked for
which program, and in which order, is a second table. Every row has a checksum, by which damage
shows. Rows of older versions have none, and a row that is changed by hand loses its own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

from skiploop.errors import ProgramError, RunError, one_line
from skiploop.programs.program import Program
from skiploop.trials.schema import COVERED, checksum, upgrade

Source = Literal["search", "random"]
Key = tuple[str, Program]
"""Of a trial: the id of its example, and its program."""


@dataclass(frozen=True)
class Trial:
    """One evaluated pair.

    Attributes:
        example_id: The question.
        program: The program.
        correct: The verdict; None if the text could not be graded.
        text: What the model wrote.
        answer: What the grader took from it.
        reason: Why it was graded so, where the grader says.
        n_tokens: Tokens generated.
        logprob: Sum of their log-probabilities; None if the logits were not numbers.
        stopped_by: By what the text ended, as in `Completion`. After `decided` the text is only a
            beginning; the verdict is that of the whole.
        n_rows: Rows of the batch that it ran in.
        n_positions: Tokens of the longest of them. In low precision the batch can change a token.
        dtype: Number format of weights and states.
        gold_logprob: Log-probability of the right answer and its end; None where nobody asked for
            it or it is not known how it is written.
    """

    example_id: str
    program: Program
    correct: bool | None
    text: str
    answer: str
    reason: str
    n_tokens: int
    logprob: float | None
    stopped_by: str
    n_rows: int
    n_positions: int
    dtype: str
    gold_logprob: float | None = None


_COLUMNS = COVERED["trials"]
_HOLES = ", ".join("?" for _ in fields(Trial))
_OLD = ", ".join(field.name for field in fields(Trial)[:-1])  # all but gold_logprob
_NEW = ", ".join(f"excluded.{field.name}" for field in fields(Trial)[:-1])
program_of = lru_cache(2**16)(Program.parse)  # trials of a run have the same ones
_values = attrgetter(*(field.name for field in fields(Trial)))


class TrialStore:
    """Trials of one run: one model, one task, one dtype.

    Args:
        path: The SQLite file; created if missing.

    Raises:
        RunError: The file cannot be opened or written, such as on a full disk.

    Guarantees:
        What `add` returned from survives a kill of the process.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._reporting():
            self._db = sqlite3.connect(path)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.create_function("checksum_of", -1, checksum, deterministic=True)
            upgrade(self._db, path)

    def verify(self) -> None:
        """Refuse a file with a row that is not as it was written.

        Cost:
            About a second for half a million rows.
        """
        for table, columns in COVERED.items():
            query = (
                f"SELECT count(*), min(example_id) FROM {table} "
                f"WHERE checksum IS NOT NULL AND checksum != checksum_of({columns})"
            )
            with self._reporting():
                n_damaged, example_id = self._db.execute(query).fetchone()
            if n_damaged:
                raise RunError(
                    f"{self.path} is damaged: {n_damaged} rows of {table} are not as they were "
                    f"written, such as one of question {example_id!r}; restore the file, or use "
                    "another --out"
                )

    def get(self, keys: Iterable[Key]) -> dict[Key, Trial]:
        """Return the known trials among some pairs of an example id and a program."""
        query = f"SELECT {_COLUMNS} FROM trials WHERE example_id = ? AND program = ?"
        with self._reporting():
            rows = {
                (example_id, program): self._db.execute(
                    query, (example_id, str(program))
                ).fetchone()
                for example_id, program in keys
            }
        return {key: trial_of(row, key[1]) for key, row in rows.items() if row}

    def of_examples(self, example_ids: Iterable[str], n_layers: int) -> dict[str, list[Trial]]:
        """Return all trials by question, programs in the order of their texts."""
        query = f"SELECT {_COLUMNS} FROM trials WHERE example_id = ? ORDER BY program"
        with self._reporting():
            return {
                one: [
                    trial_of(row, program_of(row[1], n_layers))
                    for row in self._db.execute(query, (one,))
                ]
                for one in example_ids
            }

    def add(self, trials: Sequence[Trial]) -> None:
        """Write trials in one transaction.

        A pair that is known already stays as it is, unless its text was only a beginning. A
        log-probability of the right answer is never lost.
        """
        query = (
            f"INSERT INTO trials ({_COLUMNS}) VALUES ({_HOLES}) "
            f"ON CONFLICT DO UPDATE SET ({_OLD}) = ({_NEW}) WHERE stopped_by = 'decided'"
        )
        gold_query = "UPDATE trials SET gold_logprob = ? WHERE example_id = ? AND program = ?"
        rows = list(map(row_of, trials))
        sign_query = (
            f"UPDATE trials SET checksum = checksum_of({_COLUMNS}) "
            "WHERE example_id = ? AND program = ?"
        )
        with self._reporting(), self._db:
            self._db.executemany(query, rows)
            golds = [(row[-1], *row[:2]) for row in rows if row[-1] is not None]
            self._db.executemany(gold_query, golds)
            self._db.executemany(sign_query, [row[:2] for row in rows])

    def bind(self, facts: Mapping[str, str]) -> None:
        """Bind the file to what its trials are about, or check it against what that was before.

        Raises:
            RunError: The file holds trials of something else; the message names the difference.
        """
        for name, value in facts.items():
            known = self.note(name, value)
            if known != value:
                raise RunError(
                    f"{self.path} holds trials with {name} {known}, not {value}: use another file"
                )

    def note(self, name: str, value: str) -> str:
        """Note a fact about the trials unless it was noted before, and return what stands."""
        with self._reporting(), self._db:
            self._db.execute("INSERT OR IGNORE INTO facts VALUES (?, ?)", (name, value))
            query = "SELECT value FROM facts WHERE name = ?"
            return str(self._db.execute(query, (name,)).fetchone()[0])

    def facts(self) -> dict[str, str]:
        """Return all that is noted about the trials."""
        with self._reporting():
            return dict(self._db.execute("SELECT name, value FROM facts"))

    def note_anew(self, facts: Mapping[str, str]) -> None:
        """Note facts in the place of what was noted before."""
        with self._reporting(), self._db:
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())

    def sample(self, n_each: int, n_layers: int) -> list[Trial]:
        """Return so many right trials and so many wrong ones, if there are; the same every time.

        Trials that were imported are left out: they did not run.
        """
        query = (
            f"SELECT {_COLUMNS} FROM trials WHERE correct = ? AND n_rows > 0 "
            "ORDER BY checksum, example_id, program LIMIT ?"  # a checksum is as good as a draw
        )
        with self._reporting():
            return [
                trial_of(row, program_of(row[1], n_layers))
                for correct in (1, 0)
                for row in self._db.execute(query, (correct, n_each))
            ]

    def add_asks(self, source: Source, asks: Iterable[tuple[str, int, Program]]) -> None:
        """Note who asked for which program: (example id, step, program)."""
        columns = COVERED["asks"]
        query = f"INSERT OR IGNORE INTO asks ({columns}, checksum) VALUES (?, ?, ?, ?, ?)"
        rows = [(source, example_id, step, str(program)) for example_id, step, program in asks]
        with self._reporting(), self._db:
            self._db.executemany(query, [(*row, checksum(*row)) for row in rows])

    def asked(self, source: Source, n_layers: int) -> dict[str, list[Trial]]:
        """Return the evaluated trials of one source, by example, in the order asked."""
        columns = ", ".join(f"trials.{field.name}" for field in fields(Trial))
        query = (
            f"SELECT {columns} FROM asks JOIN trials USING (example_id, program) "
            "WHERE source = ? ORDER BY example_id, step"
        )
        asked: dict[str, list[Trial]] = {}
        with self._reporting():
            for row in self._db.execute(query, (source,)):
                asked.setdefault(row[0], []).append(trial_of(row, program_of(row[1], n_layers)))
        return asked

    def asks(self) -> list[tuple[Source, str, int, str]]:
        """Return who asked for which program: source, example id, step, text of the program."""
        query = f"SELECT {COVERED['asks']} FROM asks ORDER BY source, example_id, step"
        with self._reporting():
            return self._db.execute(query).fetchall()

    def rows_about(self, example_ids: Iterable[str]) -> list[tuple[Any, ...]]:
        """Return all that is known about some questions, as `row_of` returns it."""
        query = f"SELECT {_COLUMNS} FROM trials WHERE example_id = ?"
        with self._reporting():
            return [row for one in example_ids for row in self._db.execute(query, (one,))]

    def __len__(self) -> int:
        with self._reporting():
            return int(self._db.execute("SELECT count(*) FROM trials").fetchone()[0])

    def close(self) -> None:
        """Close the file; the store cannot be used afterwards."""
        self._db.close()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError, ProgramError) as error:  # in damaged files
            raise RunError(
                f"cannot use {self.path}: {one_line(error)}; check the file, its rights and the "
                "free disk space, then run the same command again, or use another --out"
            ) from error


def row_of(trial: Trial) -> tuple[Any, ...]:
    """Return a trial as plain values, those of the columns."""
    example_id, program, *others = _values(trial)
    return (example_id, str(program), *others)


def trial_of(row: Sequence[Any], program: Program) -> Trial:
    """Return the trial of a row, whose program was parsed."""
    example_id, _, correct, *others = row
    return Trial(example_id, program, None if correct is None else bool(correct), *others)
