"""Packages that come with an extra of skiploop: named where they are needed and not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skiploop.errors import MissingExtraError, one_line


@contextmanager
def brought_by(extra: str, need: str) -> Iterator[None]:
    """Name the extra to install if an import in the block fails.

    Args:
        extra: Brings the package.
        need: What the package is needed for, such as "m.gguf is read with the package gguf".

    Raises:
        MissingExtraError: The package, or one that it imports, is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(
            f'{need} ({one_line(error)}): pip install "skiploop[{extra}]"'
        ) from error
