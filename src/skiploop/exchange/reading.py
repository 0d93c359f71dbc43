"""Reading files of others: what is wrong is told by file, record and field, in one line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skiploop.arguments import shown
from skiploop.errors import DataError, ProgramError, one_line
from skiploop.programs.program import Program

_COPY_AGAIN = "copy or download it again"


@dataclass(frozen=True)
class Source:
    """What is read.

    Attributes:
        path: The file.
        n_layers: Layers of the model that it is for.
        questions: Files with the texts of its questions, where it holds only their names.
    """

    path: Path
    n_layers: int
    questions: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Place:
    """A place in a file, for messages.

    Attributes:
        path: The file.
        parts: Record and fields, from the outside in.
    """

    path: Path
    parts: tuple[str, ...] = ()

    def __truediv__(self, part: str) -> Place:
        return replace(self, parts=(*self.parts, part))

    def refuse(self, value: object, expected: str) -> DataError:
        """Return the error for a value that is not what is expected here."""
        return self.error(f"{shown(value)} is not {expected}")

    def error(self, what: str) -> DataError:
        """Return the error for what is wrong here."""
        return DataError(f"{', '.join([str(self.path), *self.parts])}: {what}")

    def record(self, value: object) -> dict[str, Any]:
        """Return a value that has to be an object of JSON; DataError if it is something else."""
        if not isinstance(value, dict):
            raise self.refuse(value, "an object with fields")
        return value

    def items(self, value: object) -> list[Any]:
        """Return a value that has to be a list; DataError if it is something else."""
        if not isinstance(value, list):
            raise self.refuse(value, "a list")
        return value

    def text(self, value: object) -> str:
        """Return a value that has to be a text or a number, as a text; DataError if it is none."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        found = str(value).strip() if isinstance(value, str) or is_number else ""
        if not found:
            raise self.refuse(value, "a text")
        return found

    def field(self, record: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - of JSON
        """Return a field of a record; DataError if it is missing."""
        if name not in record:
            raise self.error(f"field {name!r} is missing")
        return record[name]


def read_text(path: Path) -> str:
    """Return the text of a file, unpacked where its name ends in `.gz`.

    Raises:
        DataError: It cannot be read, is cut off or is no UTF-8.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            return stream.read().decode("utf-8-sig")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} is no whole gzip file ({one_line(error)}): {_COPY_AGAIN}"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({one_line(error)}): {_COPY_AGAIN}") from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or one_line(error)}): check the path"
        ) from error


def read_json(path: Path) -> object:
    """Return what a file of JSON holds; its name may end in `.gz`.

    Raises:
        DataError: It cannot be read, or is no JSON.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f"{error.msg}, line {error.lineno}, column {error.colno}"
        raise DataError(f"{path} is no whole JSON ({where}): {_COPY_AGAIN}") from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} is no JSON ({one_line(error)[:80]}): {_COPY_AGAIN}") from error


class PathReader:
    """Reads paths as programs, and keeps what no program can say.

    Attributes:
        left_out: Where a path stands that is none, and why; one text each time.
    """

    def __init__(self, n_layers: int) -> None:
        self.n_layers = n_layers
        self.left_out: list[str] = []
        self._known: dict[tuple[int, ...], Program | str] = {}

    def read(self, path: object, place: Place) -> list[Program]:
        """Return the program of a path as a list, empty where there is none.

        Raises:
            DataError: It is no list of layers of the model.
        """
        if isinstance(path, dict) and "path" in path:
            path, place = path["path"], place / "path"
        layers = tuple(place.items(path))
        if layers not in self._known:
            self._known[layers] = self._program(layers, place)
        found = self._known[layers]
        if isinstance(found, Program):
            return [found]
        self.leave_out(place, found)
        return []

    def read_all(self, paths: object, place: Place) -> tuple[Program, ...]:
        """Return the different programs of a list of paths.

        Raises:
            DataError: It is no list of paths.
        """
        listed = enumerate(place.items(paths))
        found = [program for i, path in listed for program in self.read(path, place / f"path {i}")]
        return tuple(dict.fromkeys(found))

    def check_depth(self, place: Place) -> None:
        """Refuse a file none of whose paths reaches the last layer: that of a smaller model.

        Its plain model would be read as a program that skips all further layers.

        Raises:
            DataError: It is such a file.
        """
        last = self.n_layers - 1
        if self._known and not any(last in path for path in self._known):
            raise place.error(
                f"no path runs layer {last}, the last of a model of {self.n_layers} layers: give "
                "the --model that the file was made for"
            )

    def leave_out(self, place: Place, why: str) -> None:
        """Note something that no program can say."""
        self.left_out.append(f"{', '.join(place.parts)}: {why}")

    def _program(self, layers: tuple[object, ...], place: Place) -> Program | str:
        path = [self._layer(layer, place) for layer in layers]
        try:
            return Program.from_path(path, self.n_layers)
        except ProgramError as error:
            return str(error)

    def _layer(self, layer: object, place: Place) -> int:
        if type(layer) is not int:
            raise place.refuse(layer, "the number of a layer")
        if not 0 <= layer < self.n_layers:
            raise place.error(
                f"there is no layer {layer} in a model of {self.n_layers} layers: give the --model "
                "that the file was made for"
            )
        return layer
