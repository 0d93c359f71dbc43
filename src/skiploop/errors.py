"""Every error that skiploop raises for its callers; each message names the next action.

One root, grouped by who must act. A child also subclasses the built-in exception that a caller
would expect, so `except ValueError` works as well as `except SkiploopError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SkiploopError(Exception):
    """The root of all errors below; the command line prints it as one line and exits with 2."""


class ConfigError(SkiploopError, ValueError):
    """A setting is unknown, has the wrong type or is out of range."""


class MissingExtraError(ConfigError, ImportError):
    """A package that comes with an extra of skiploop is not installed."""


class ProgramError(SkiploopError, ValueError):
    """A program text, path or label is not a program, or is one for another model."""


class DataError(SkiploopError, ValueError):
    """A file of questions, trials or labels holds something that cannot be used."""


class RunError(SkiploopError, ValueError):
    """A run folder is missing a part, or was made with another configuration."""


class BatchError(SkiploopError, ValueError):
    """The arguments of one batched call do not fit together or do not fit the model."""


class UnsupportedModelError(SkiploopError, ValueError):
    """The layers of a model cannot be found or cannot be shared."""


class UnknownNameError(SkiploopError, LookupError):
    """A model, task, policy or data set of this name is not known."""


class DownloadError(SkiploopError, OSError):
    """Weights or data could not be fetched, or arrived damaged."""


class GraderError(SkiploopError, RuntimeError):
    """The grading processes could not be started."""


class BackendError(SkiploopError, RuntimeError):
    """Workers could not be started, or a cluster could not be joined."""


class JobsFailedError(SkiploopError, RuntimeError):
    """Some jobs of a stage failed and all others are stored; the command line exits with 3."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return "did you mean ...? " for the closest known name, empty if none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def one_line(error: BaseException) -> str:
    """Return the text of an error on one line, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def told_as(
    kind: type[SkiploopError], problem: str, advice: str, *, of: tuple[type[Exception], ...]
) -> Iterator[None]:
    """Raise errors `of` some types as one that says what the problem is and what to do."""
    try:
        yield
    except of as error:
        raise kind(f"{problem} ({one_line(error)}): {advice}") from error


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for an unknown `name`, with the closest known ones.

    Args:
        kind: What was asked for, such as "task".
        name: What was given.
        known: Every name that would have been accepted.
    """
    known = sorted(known)
    hint = closest(name, known)
    return UnknownNameError(f"unknown {kind} {name!r}: {hint}Known: {', '.join(known)}")
