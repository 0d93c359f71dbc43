"""Settings as frozen dataclasses, read from YAML or JSON and from `key=value` overrides.

Later wins: defaults in the dataclass, then the file, then overrides. Nothing is guessed: an
unknown key or a value of another type is refused.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from skiploop.errors import ConfigError, DataError, closest, one_line
from skiploop.jsontext import plain, read_json

T = TypeVar("T")

_EXPECTED = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text (write it in quotes if it looks like a number)",
}
_ABSENT = object()


class AtMost(int):
    """A number that nobody gave: where there are fewer, they will do.

    One that somebody gave is a plain `int`, and is refused where there are fewer.
    """

    __slots__ = ()


def renamed(old: str, default: Any = dataclasses.MISSING) -> Any:  # noqa: ANN401 - as `field`
    """Return the field of a setting that had another name in the last version.

    Args:
        old: That name, by which it is still read.
        default: Its default; without one it has to be given.
    """
    return dataclasses.field(default=default, metadata={"old": old})


def from_dict(cls: type[T], data: Mapping[str, object], section: str = "") -> T:
    """Build a configuration from plain data.

    Args:
        cls: A dataclass whose fields are int, float, str, bool, a tuple of one of these
            (`tuple[int, ...]`), another such dataclass, a dict of plain values that nobody checks,
            or one of all these `| None`.
        data: Its fields by name; fields with a default may be left out.
        section: Name of the section that `data` is, for messages.

    Raises:
        ConfigError: A key is unknown, a needed one is missing, or a value has another type.
    """
    return cast("T", _build(cls, data, f"{section}." if section else ""))


def under_new_names(cls: type, data: Mapping[str, object], section: str = "") -> dict[str, object]:
    """Return settings by the names that they have today; arguments as for `from_dict`.

    Raises:
        ConfigError: One is given by both of its names.
    """
    prefix = f"{section}." if section else ""
    found = dict(data)
    for field in dataclasses.fields(cls):
        old = field.metadata.get("old")
        if old in found and field.name in found:
            raise ConfigError(
                f"{prefix + old!r} is the old name of {prefix + field.name!r}: give one of them"
            )
        if old in found:
            found[field.name] = found.pop(old)
    return found


def to_dict(config: object) -> dict[str, object]:
    """Return a configuration as plain data for JSON or YAML; the inverse of `from_dict`."""
    return cast("dict[str, object]", plain(config))


def load_file(path: str | Path) -> dict[str, object]:
    """Read a YAML file, or JSON if its name ends in `.json`.

    Raises:
        ConfigError: The file is missing, cannot be parsed, or does not hold named settings.
    """
    path = Path(path)
    try:
        data: object = (
            read_json(path)
            if path.suffix == ".json"
            else _parse_yaml(path.read_text(encoding="utf-8"))
        )
    except FileNotFoundError:
        raise ConfigError(f"no configuration file {str(path)!r}: check the path") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}; check its rights") from error
    except DataError as error:
        raise ConfigError(str(error)) from error
    except ValueError as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise ConfigError(
            f"{path} cannot be read: {one_line(error)}; correct the {kind} at that place"
        ) from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {data!r}: expected settings, one 'key: value' a line")
    return data


def apply_overrides(data: Mapping[str, object], overrides: Sequence[str]) -> dict[str, object]:
    """Return a copy of `data` with some values replaced.

    Args:
        data: Settings, in sections or flat.
        overrides: `key=value` or `section.key=value`; the value is read as YAML, so `[1, 2]` is
            a list, `true` is a bool and nothing is null.

    Raises:
        ConfigError: An override has no `=`, its value is no YAML, or its section is no section.

    Example:
        >>> apply_overrides({"search": {"budget": 100}}, ["search.budget=50", "seed=1"])
        {'search': {'budget': 50}, 'seed': 1}
    """
    result = copy.deepcopy(dict(data))
    for override in overrides:
        key, equals, text = override.partition("=")
        *sections, last = key.strip().split(".")
        if not equals or not all((*sections, last)):
            raise ConfigError(f"{override!r} is not KEY=VALUE, such as run.seed=1")
        try:
            value = _parse_yaml(text)
        except ConfigError as error:
            raise ConfigError(f"the value of override {override!r} is no YAML: {error}") from error
        target = result
        for section in sections:
            inner = target.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(
                    f"override {override!r}: {section!r} is {inner!r} and not a section"
                )
            target = inner
        target[last] = value
    return result


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """Return one line for every setting in which two configurations differ, none if equal.

    Args:
        old: What a run folder was made with.
        new: What is asked for.

    Example:
        >>> differences({"budget": 100, "seed": 1}, {"budget": 50, "seed": 1})
        ['budget: 100 in the run, 50 asked']
    """
    before, after = _flat(old), _flat(new)
    lines = []
    for key in dict.fromkeys((*before, *after)):
        was, asked = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if was != asked:
            lines.append(f"{key}: {_shown(was)} in the run, {_shown(asked)} asked")
    return lines


def _build(cls: type, data: object, prefix: str) -> object:
    """Check `data` against the fields of `cls`; `prefix` is the dotted name of the section."""
    if not isinstance(data, Mapping):
        raise ConfigError(
            f"{prefix.rstrip('.') or cls.__name__} is {data!r}: expected settings by name"
        )
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    data = under_new_names(cls, data, prefix.rstrip("."))
    for key in data:
        if key not in fields:
            hint = closest(prefix + str(key), [prefix + name for name in fields])
            raise ConfigError(
                f"unknown setting {prefix + str(key)!r}: {hint}Known: {', '.join(sorted(fields))}"
            )
    for name, field in fields.items():
        default = (field.default, field.default_factory)
        if name not in data and default == (dataclasses.MISSING, dataclasses.MISSING):
            raise ConfigError(f"setting {prefix + name!r} is missing and has no default: give it")
    return cls(**{name: _checked(hints[name], data[name], prefix + name) for name in data})


def _checked(kind: Any, value: object, key: str) -> object:  # noqa: ANN401 - a type hint
    """Return `value` as a `kind`, or refuse it under the name `key`."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = [arg for arg in typing.get_args(kind) if arg is not types.NoneType]
        return None if value is None else _checked(inner, value, key)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key} is {value!r}: expected values by name")
        return dict(value)
    if origin is tuple:
        item_kind = typing.get_args(kind)[0]
        if not isinstance(value, (list, tuple)):
            raise ConfigError(f"{key} is {value!r}: expected a list such as [a, b]")
        return tuple(_checked(item_kind, v, f"{key}[{i}]") for i, v in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _build(cast("type", kind), value, f"{key}.")
    if kind is float:
        value = _as_float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(cast("float", value))):
        raise ConfigError(f"{key} is {value!r}: expected {_EXPECTED[kind]}")
    return value


def _as_float(value: object) -> object:
    """Return a number as float, and also text such as '1e-4', which YAML 1.1 reads as text."""
    if type(value) in (int, float, str):
        try:
            return float(cast("float | str", value))
        except (ValueError, OverflowError):
            return value
    return value


def _parse_yaml(text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(one_line(error)) from error


def _flat(data: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return the settings of all sections under dotted names, tuples as lists."""
    flat: dict[str, object] = {}
    for key, value in data.items():
        inner = _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else None
        flat.update({f"{prefix}{key}": plain(value)} if inner is None else inner)
    return flat


def _shown(value: object) -> str:
    return "nothing" if value is _ABSENT else repr(value)
