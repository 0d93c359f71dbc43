"""Levels of a task, as people give them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skiploop.errors import ConfigError


def read_levels(
    task: str, level: int | str | Sequence[int], known: Iterable[int]
) -> tuple[int, ...]:
    """Return the levels that somebody asks for.

    Args:
        task: Name of the task, for messages.
        level: One of `known`, or several different ones as `(1, 2)` or `"1,2"`.
        known: All of them.

    Raises:
        ConfigError: There is no such level, or one is given twice.
    """
    parts = level.split(",") if isinstance(level, str) else level
    names = [str(part).strip() for part in (parts if isinstance(parts, Sequence) else [parts])]
    by_name = {str(one): one for one in known}
    if not names or len(set(names)) < len(names) or not by_name.keys() >= set(names):
        raise ConfigError(
            f"{task} has no level {level!r}: "
            f"give one of {', '.join(by_name)}, or several different ones such as '1,2'"
        )
    return tuple(by_name[name] for name in names)
