"""What is intact in a damaged file of trials, in a new file."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skiploop.errors import RunError
from skiploop.files import check_new
from skiploop.trials.schema import COVERED, checksum, upgrade

_ORDER = {"trials": ("example_id", "program"), "asks": ("source", "example_id", "step")}
"""What rows are sorted by in the file."""

_PAGE = 4096
_LENGTH = slice(28, 32)
"""Bytes of a page, and where the header of a file says how many pages there are."""

_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, OverflowError)


@dataclass(frozen=True)
class Salvaged:
    """What was found.

    Attributes:
        n_trials: Trials in the new file.
        n_damaged: Rows that can be read but are not as they were written; they are left out.
    """

    n_trials: int
    n_damaged: int


def salvage(damaged: Path, new: Path, example_ids: Iterable[str] = ()) -> Salvaged:
    """Copy every intact row to a new file; the damaged one is not changed.

    A file is a tree of pages. Rows are read from both ends up to the first page that cannot be
    read, and then question by question, so a damaged page loses what is on it alone.

    Args:
        damaged: What `TrialStore` refuses.
        new: The new file.
        example_ids: Questions to look for beside those that are found.

    Raises:
        ConfigError: The new file exists.
    """
    check_new(new)
    with closing(sqlite3.connect(new)) as db:
        _prepare(db, new)
    rows: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = {name: {} for name in COVERED}
    facts: dict[str, str] = {}
    for first_page in (b"", new.read_bytes()[:_PAGE]):
        with _copy(damaged, first_page) as copy, closing(sqlite3.connect(copy)) as db:
            with suppress(RunError, *_UNREADABLE):
                _prepare(db, copy)
            facts |= dict(_readable(db, "SELECT name, value FROM facts"))
            for name in ("asks", "trials"):
                ids = {*example_ids, *(key[1] for key in rows["asks"])}
                rows[name] |= _rows(db, name, ids)
    intact = {
        name: [row for row in found.values() if row[-1] in (None, checksum(*row[:-1]))]
        for name, found in rows.items()
    }
    with closing(sqlite3.connect(new)) as db:
        _prepare(db, new)
        with db:
            db.executemany("INSERT OR IGNORE INTO facts VALUES (?, ?)", facts.items())
            for name, found in intact.items():
                holes = ", ".join("?" * (COVERED[name].count(",") + 2))
                query = f"INSERT OR IGNORE INTO {name} ({COVERED[name]}, checksum) VALUES ({holes})"
                for row in found:
                    with suppress(sqlite3.IntegrityError):  # a value that must be there is not
                        db.execute(query, row)
        (n_trials,) = db.execute("SELECT count(*) FROM trials").fetchone()
    n_damaged = sum(len(rows[name]) - len(intact[name]) for name in rows)
    return Salvaged(n_trials=n_trials, n_damaged=n_damaged)


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Give a file the tables of today."""
    db.create_function("checksum_of", -1, checksum, deterministic=True)
    upgrade(db, path)


@contextmanager
def _copy(damaged: Path, first_page: bytes) -> Iterator[Path]:
    """Give a copy of a file whose header knows how long it is.

    Args:
        damaged: The file.
        first_page: Of a new file, whose tables start at the same pages, in place of its own.
    """
    content = bytearray(damaged.read_bytes())
    content[: len(first_page)] = first_page
    content += bytes(-len(content) % _PAGE)
    content[_LENGTH] = (len(content) // _PAGE).to_bytes(4, "big")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / damaged.name
        copy.write_bytes(content)
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{damaged}-wal", f"{copy}-wal")
        yield copy


def _rows(
    db: sqlite3.Connection, table: str, example_ids: Iterable[str]
) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """Yield the keys and rows that can be read of a table, some of them more than once."""
    names = COVERED[table].split(", ")
    places = [names.index(name) for name in _ORDER[table]]
    select = f"SELECT {COVERED[table]}, checksum FROM {table}"
    asked: list[tuple[str, Sequence[Any]]] = [("", ())]
    if table == "trials":
        asked += [(" WHERE example_id = ?", (one,)) for one in example_ids]
    for where, values in asked:
        for way in ("", " DESC"):
            order = ", ".join(name + way for name in _ORDER[table])
            for row in _readable(db, f"{select}{where} ORDER BY {order}", values):
                yield tuple(row[place] for place in places), row


def _readable(
    db: sqlite3.Connection, query: str, values: Sequence[Any] = ()
) -> Iterator[tuple[Any, ...]]:
    """Yield rows up to the first one that cannot be read."""
    with suppress(*_UNREADABLE):
        yield from db.execute(query, values)
