"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from skiploop.errors import ConfigError

_UNFINISHED = ".unfinished"


def at_home(text: str | Path) -> Path:
    """Return a path, a `~` at its start read as the home folder where there is one."""
    with suppress(RuntimeError):
        return Path(text).expanduser()
    return Path(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write to; it takes the place of `path` when all is written.

    Args:
        path: Replaced if it exists; its folder must exist.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of the files that they were writing.

    Args:
        folder: In it and in the folders in it, nobody else is writing.
    """
    for path in folder.rglob(f".*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file of which nobody ever sees a half.

    Args:
        path: Replaced if it exists; its folder must exist.
        text: Whole content, written as UTF-8.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; it takes that place when nothing was raised.

    Args:
        folder: A new or empty folder; those above it are made.

    Raises:
        ConfigError: It holds something.
    """
    check_new(folder)
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    beside.mkdir(parents=True)
    try:
        yield beside
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def check_new(path: Path) -> None:
    """Refuse a place where something would be overwritten.

    Raises:
        ConfigError: There is a file, or a folder that is not empty.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConfigError(f"{path} exists already: give a new folder or file")
