"""The boundary around the reading of a model: what other libraries raise becomes one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from skiploop.errors import SkiploopError, UnsupportedModelError, one_line

_LONGEST = 600  # characters of a foreign text; a tokenizer that cannot be read quotes itself whole


@contextmanager
def reading(problem: str, advice: str) -> Iterator[None]:
    """Turn whatever is raised while a model is read into `UnsupportedModelError`.

    Half a dozen libraries take part, and a damaged or foreign file can make each of them raise
    anything. skiploop's own errors, a lack of memory and an interrupt pass as they are.

    Args:
        problem: What went wrong if something is raised, such as "m.gguf cannot be loaded".
        advice: What to do then.
    """
    try:
        yield
    except (SkiploopError, MemoryError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # a panic of a Rust library is no Exception
        raise UnsupportedModelError(f"{problem}: {_reason(error)}; {advice}") from error


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Hide its warnings, as what they are about is used or refused, and restore its settings."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def _reason(error: BaseException) -> str:
    """Return the text of an error, with its type where the text alone may say nothing."""
    text = one_line(error)
    if isinstance(error, LookupError | AttributeError | TypeError):
        text = f"{type(error).__name__} {text}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
