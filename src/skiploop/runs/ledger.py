"""What a run folder says about itself: the settings of its stages, and what they ended with.

`config.json` may be edited by a person and holds settings alone. `provenance.json` says where the
figures of a finished stage come from, and by what it is told later that a part of it is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from skiploop.errors import DataError, RunError, one_line
from skiploop.files import write_atomic
from skiploop.jsontext import checksum, json_text, read_json, write_json

SETTINGS = "config.json"
FACTS = "provenance.json"
TRIALS = "trials.sqlite"
_ENDED = "ended_with"


class Ledger:
    """The two small files of a run folder, which may not exist yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def sections(self) -> dict[str, Any]:
        """The settings of each stage; none if there is no such file.

        Raises:
            RunError: The file cannot be read.
        """
        return self._read(SETTINGS)

    def write_sections(self, sections: Mapping[str, object]) -> None:
        """Replace the settings of all stages.

        Raises:
            RunError: The file cannot be written.
        """
        with self._writing(SETTINGS) as path:
            write_atomic(path, json_text(sections, indent=2) + "\n")

    def end(self, section: str, facts: Mapping[str, object], n_trials: int) -> None:
        """Note that a stage is finished.

        Raises:
            RunError: The file cannot be written.
        """
        ended = {"n_trials": n_trials, "settings": checksum(self.sections[section])}
        with self._writing(FACTS) as path:
            write_json(path, {**self._read(FACTS), section: {**facts, _ENDED: ended}})

    def facts(self, section: str) -> dict[str, object]:
        """Return where the figures of a finished stage come from; nothing if it is not finished.

        Raises:
            RunError: The file is damaged.
        """
        facts = self._read(FACTS).get(section, {})
        return {name: value for name, value in facts.items() if name != _ENDED}

    def forget(self, section: str) -> None:
        """Drop the settings of a stage and its end.

        Raises:
            RunError: A file cannot be written.
        """
        sections, facts = self.sections, self._read(FACTS)
        if sections.pop(section, None) is not None:
            self.write_sections(sections)
        if facts.pop(section, None) is not None:
            with self._writing(FACTS) as path:
                write_json(path, facts)

    def check_whole(self, section: str, n_trials: Callable[[], int], again: str) -> None:
        """Refuse a stage whose settings or trials are not those that it ended with.

        A stage of an older version says nothing of them; it has some trials.

        Raises:
            RunError: A part is damaged or lost; the message names it.
        """
        ended = self._read(FACTS)[section].get(_ENDED, {})
        settings = checksum(self.sections[section])
        if ended.get("settings", settings) != settings:
            raise RunError(
                f"{self.folder / SETTINGS} was changed: the settings of the {section} are not "
                "those that it was finished with; restore them"
            )
        found, expected = n_trials(), ended.get("n_trials", 1)
        if found < expected:
            raise RunError(
                f"trials are lost: {self.folder / TRIALS} holds {found}, the {section} was "
                f"finished with {expected} or more; restore it, or {again}, which makes them anew"
            )

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            found: dict[str, Any] = read_json(path) if path.exists() else {}
            for section, values in found.items():
                if not isinstance(values, dict):
                    raise DataError(f"{section} is {values!r}: expected settings by name")
        except (OSError, ValueError) as error:
            raise RunError(
                f"cannot read {path}: {one_line(error)}; restore it or use another --out"
            ) from error
        return found

    @contextmanager
    def _writing(self, name: str) -> Iterator[Path]:
        path = self.folder / name
        try:
            yield path
        except OSError as error:
            raise RunError(
                f"cannot write {path}: {error.strerror}; check the folder's rights and the free "
                "disk space, then run the same command again"
            ) from error


def check_writable(folder: Path) -> None:
    """Refuse a run folder that is there and cannot be written, or cannot be made.

    Raises:
        RunError: It is such a folder.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise RunError(
            f"cannot make the run folder {folder}: {error.strerror}; choose another with --out"
        ) from error
    if not there.is_dir():
        raise RunError(
            f"cannot make the run folder {folder}: {there} is a file; choose another with --out"
        )
    if not os.access(there, os.W_OK | os.X_OK):
        raise not_writable(folder)


def not_writable(folder: Path) -> RunError:
    """Return the error for a run folder in which nothing can be written."""
    return RunError(
        f"cannot write in the run folder {folder}: check its rights and the free disk space, or "
        "choose another with --out"
    )
