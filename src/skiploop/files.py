"""Files that are either whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to write to; it takes the place of `path` when all is written.

    Args:
        path: Replaced if it exists; its folder must exist.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file of which nobody ever sees a half.

    Args:
        path: Replaced if it exists; its folder must exist.
        text: Whole content, written as UTF-8.
    """
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
