"""Seconds of work, over all processes that did a part of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skiploop.errors import RunError, one_line
from skiploop.jsontext import read_json, write_json


class Stopwatch:
    """Adds up the seconds of each piece of work in a file.

    Args:
        path: The file; it and its folder are made with the first piece of work.

    Raises:
        RunError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: dict[str, float] = {}
        if path.exists():
            try:
                found = read_json(path)
                self._seconds = {what: float(str(value)) for what, value in found.items()}
            except (OSError, ValueError) as error:
                raise RunError(
                    f"cannot read {path}: {one_line(error)}; delete it, then the times of earlier "
                    "work are not known"
                ) from error

    @contextmanager
    def running(self, what: str) -> Iterator[None]:
        """Add the time that a piece of work takes, finished or interrupted."""
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self._seconds[what] = self._seconds.get(what, 0.0) + spent
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, self._seconds)

    def seconds(self, what: str) -> float | None:
        """Return the seconds of a piece of work, None if nobody measured it."""
        return self._seconds.get(what)
