"""Options that come together: a dataclass as a parameter stands for an option for each field."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its groups as options, in their place.

    Args:
        command: Takes all by keyword; a group is a parameter whose type is a dataclass.
    """
    options: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        kind: type = parameter.annotation
        if is_dataclass(kind):
            groups[parameter.name] = kind
            options += inspect.signature(kind, eval_str=True).parameters.values()
        else:
            options.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def flat(**given: object) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in fields(group)})
            for name, group in groups.items()
        }
        command(**given, **made)

    flat.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    return flat
