"""JSON as its standard has it, and JSON files that tell when they are damaged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from skiploop.errors import DataError
from skiploop.files import write_atomic

CHECKSUM = "sha256"
"""Name of the checksum among the values of a file."""


@runtime_checkable
class Figures(Protocol):
    """What tells more, or less, than its fields."""

    def figures(self) -> dict[str, object]:
        """Return what it tells, by name; `plain` makes plain data of the values."""


def plain(data: object) -> Any:  # noqa: ANN401 - as what json.loads returns
    """Return data as JSON has it: dataclasses are their fields by name, or what `figures` tells.

    A number that is none, or infinite, becomes None.

    Example:
        >>> plain({"margin": float("inf"), "layers": (3, 4)})
        {'margin': None, 'layers': [3, 4]}
    """
    if isinstance(data, Figures):
        return plain(data.figures())
    if dataclasses.is_dataclass(data):
        return {field.name: plain(getattr(data, field.name)) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {key: plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def json_text(data: object, *, indent: int | None = None, ensure_ascii: bool = False) -> str:
    """Return data as JSON, see `plain`.

    Example:
        >>> json_text({"margin": float("inf"), "p": 0.5})
        '{"margin": null, "p": 0.5}'
    """
    return json.dumps(plain(data), indent=indent, ensure_ascii=ensure_ascii, allow_nan=False)


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """Write named values and a checksum of them, in a file of which nobody ever sees a half.

    Args:
        path: Replaced if it exists; its folder must exist.
        data: Plain values.
    """
    values = json.loads(json_text(data))
    write_atomic(path, json_text({**values, CHECKSUM: checksum(values)}, indent=2) + "\n")


def read_json(path: Path) -> dict[str, object]:
    """Read named values; where they have a checksum, what `write_json` wrote.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no JSON.
        DataError: It holds no named values, or others than were written.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("no JSON of a sensible depth") from error
    if not isinstance(data, dict):
        raise DataError(f"{path} holds {data!r}: expected values by name")
    expected = data.pop(CHECKSUM, None)
    if expected is not None and expected != checksum(data):
        raise DataError(
            f"{path} is damaged, its checksum is of other content: restore it, or delete the line "
            f"{CHECKSUM!r} in it if you changed it yourself"
        )
    return data


def digest(data: object) -> str:
    """Return sixteen hexadecimal digits that change with plain data."""
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:16]


def checksum(data: Mapping[str, object]) -> str:
    """Return a checksum of plain values, whatever their order and layout in a file."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()
