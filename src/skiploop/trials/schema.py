"""The tables of a file of trials, and how files of older versions get them.

The number of the schema is `PRAGMA user_version` of the file: 0 until version 1, in which every row
may have a checksum and texts that end early are `decided`, not `settled`.
"""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

from skiploop.errors import RunError

COVERED = {
    "trials": "example_id, program, correct, text, answer, reason, n_tokens, logprob, stopped_by, "
    "n_rows, n_positions, dtype, gold_logprob",
    "asks": "source, example_id, step, program",
}
"""The columns of each table that its checksum, a further one, is of."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS trials (
    example_id TEXT NOT NULL, program TEXT NOT NULL, correct INTEGER, text TEXT NOT NULL,
    answer TEXT NOT NULL, reason TEXT NOT NULL, n_tokens INTEGER NOT NULL,
    logprob REAL, stopped_by TEXT NOT NULL, n_rows INTEGER NOT NULL, n_positions INTEGER NOT NULL,
    dtype TEXT NOT NULL, gold_logprob REAL, PRIMARY KEY (example_id, program)
) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS asks (
    source TEXT NOT NULL, example_id TEXT NOT NULL, step INTEGER NOT NULL, program TEXT NOT NULL,
    PRIMARY KEY (source, example_id, step)
) WITHOUT ROWID""",
)
_DECIDED = f"""
UPDATE trials SET stopped_by = 'decided', checksum = CASE WHEN checksum IS NOT NULL THEN
    checksum_of({COVERED["trials"].replace("stopped_by", "'decided'")}) END
WHERE stopped_by = 'settled' AND (checksum IS NULL OR checksum = checksum_of({COVERED["trials"]}))
"""  # a damaged row keeps its word and its checksum, by which it shows
_TRIGGER = f"""
CREATE TRIGGER changed AFTER UPDATE OF {COVERED["trials"]} ON trials BEGIN
    UPDATE trials SET checksum = NULL WHERE example_id = new.example_id AND program = new.program;
END
"""


def upgrade(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, and give an older one what it lacks.

    Args:
        db: The file, which knows the function `checksum_of`.
        path: Its name.

    Raises:
        RunError: A newer version wrote the file.
    """
    if _version(db) == VERSION:
        return
    with db:
        db.execute("BEGIN IMMEDIATE")
        version = _version(db)  # another process may have been faster
        if version > VERSION:
            raise RunError(
                f"{path} has schema {version}, and this version of skiploop knows "
                f"schemas up to {VERSION}: use the version that wrote it, or another --out"
            )
        for step in _STEPS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {VERSION}")


def checksum(*values: object) -> int:
    """Return the checksum of the columns of a row."""
    return zlib.crc32(repr(values).encode())


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _to_version_1(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, or upgrade one without a number."""
    for table in _TABLES:
        db.execute(table)
    for name in COVERED:
        known = [row[1] for row in db.execute(f"PRAGMA table_info({name})")]
        if "checksum" not in known:
            db.execute(f"ALTER TABLE {name} ADD COLUMN checksum INTEGER")
    db.execute("DROP TRIGGER IF EXISTS changed")
    db.execute(_DECIDED)
    db.execute(_TRIGGER)


_STEPS = (_to_version_1,)
"""What makes version 1 of version 0, and so on."""

VERSION = len(_STEPS)
