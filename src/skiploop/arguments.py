"""What callers give, checked once where it comes in.

One rule holds for every list: anything that can be gone through in an order is one, also an array,
a generator or `map`, and it is read once. A single text is none, as its characters are not meant,
and neither is a set or a mapping.

`name` is what the caller calls a value, and `error` what is raised about it.
"""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Iterable, Mapping, Set, Sized
from contextlib import suppress
from itertools import islice
from typing import SupportsIndex, TypeVar, cast

from skiploop.errors import BatchError, SkiploopError

_Kind = TypeVar("_Kind")

MAX_ENTRIES = 10_000_000
"""Most entries of a list: more come from an iterator that does not end."""

_NO_LIST = (str, bytes, bytearray, Mapping, Set)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def shown(value: object) -> str:
    """Return what was given, short and on one line."""
    try:
        return " ".join(_SHORT.repr(value).split())
    except ValueError:  # an int of thousands of digits
        return "a number of thousands of digits"


def listed(
    name: str, values: object, *, of: str, error: type[SkiploopError] = BatchError
) -> tuple[object, ...]:
    """Return the entries of a list, read once.

    Raises:
        SkiploopError: It is no list, or does not end.
    """
    entries = None
    if isinstance(values, Iterable) and not isinstance(values, _NO_LIST):
        with suppress(TypeError):  # an array without dimensions
            entries = iter(values)
    if entries is None:
        raise error(f"{name} must be a list of {of}, not {shown(values)}")
    found = tuple(islice(entries, MAX_ENTRIES + 1))
    if len(found) > MAX_ENTRIES:
        raise error(f"{name} has more than {MAX_ENTRIES:,} entries: give a list that ends")
    return found


def texts(name: str, values: object) -> tuple[str, ...]:
    """Return a list of texts as plain `str`.

    Raises:
        BatchError: It is no list, or an entry is no text or holds half a surrogate pair.
    """
    entries = listed(name, values, of="texts")
    return tuple(_text(f"{name}[{i}]", value) for i, value in enumerate(entries))


def whole_numbers(name: str, values: object) -> tuple[int, ...]:
    """Return a list of whole numbers as plain `int`.

    Raises:
        BatchError: It is no list, or an entry is no whole number.
    """
    entries = listed(name, values, of="whole numbers")
    return tuple(whole_number(f"{name}[{i}]", value) for i, value in enumerate(entries))


def whole_number(
    name: str,
    value: object,
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    error: type[SkiploopError] = BatchError,
) -> int:
    """Return a whole number as plain `int`; those of other libraries are welcome, bools are not."""
    found = None
    if not isinstance(value, bool):
        with suppress(TypeError, ValueError):  # ValueError: an array of several numbers
            found = operator.index(cast("SupportsIndex", value))
    low = -math.inf if at_least is None else at_least
    high = math.inf if at_most is None else at_most
    if found is None or not low <= found <= high:
        least = "" if at_least is None else f", at least {at_least}"
        most = "" if at_most is None else f", at most {at_most}"
        raise error(f"{name} is {shown(value)}: give a whole number{least}{most}")
    return found


def number(name: str, value: object, *, error: type[SkiploopError] = BatchError) -> float:
    """Return a finite number as plain `float`; those of other libraries are welcome."""
    try:
        if not isinstance(value, (bool, str, bytes)) and math.isfinite(cast("float", value)):
            return float(cast("float", value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise error(f"{name} is {shown(value)}: give a finite number")


def instance(
    name: str,
    value: object,
    kind: type[_Kind],
    *,
    expected: str,
    error: type[SkiploopError] = BatchError,
) -> _Kind:
    """Return what is of a kind."""
    if not isinstance(value, kind):
        raise error(f"{name} is {shown(value)}: give {expected}")
    return value


def choices_of(prompts: Sized, choices: object) -> list[tuple[str, ...]]:
    """Return a list of choices for each prompt, read once.

    Raises:
        BatchError: It is something else, or a list is empty.
    """
    listed_choices = enumerate(listed("choices", choices, of="lists of texts"))
    found = [texts(f"choices[{i}]", given) for i, given in listed_choices]
    one_for_each(prompts, "lists of choices", found)
    if not all(found):
        raise BatchError("give one list of choices for each prompt, none of them empty")
    return found


def one_for_each(prompts: Sized, name: str, entries: Sized) -> None:
    """Refuse a list that does not have one entry for each prompt."""
    if len(entries) != len(prompts):
        raise BatchError(f"{len(prompts)} prompts but {len(entries)} {name}: give one for each")


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise BatchError(f"{name} is {shown(value)}: give a text")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise BatchError(f"{name} is no Unicode text: write it as UTF-8")
    return str.__str__(value)
