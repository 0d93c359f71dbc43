"""What a GGUF file says before its weights: metadata, and the name and place of every tensor.

Whatever the header declares is compared with the size of the file before it is believed, so that
a damaged one costs neither memory nor time.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from skiploop.errors import UnsupportedModelError

_VERSIONS = (2, 3)
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_FLOAT32 = 0  # the type of a tensor, in other numbers than the type of a value
_ALIGNMENT = 32
_MOST_DIMENSIONS = 4


@dataclass(frozen=True)
class GgufTensor:
    """Where a tensor lies.

    Attributes:
        shape: As torch writes it.
        type: The format's number for how values are stored.
        offset: Of its first byte, in the file.
    """

    shape: tuple[int, ...]
    type: int
    offset: int


@dataclass(frozen=True)
class GgufHeader:
    """All that a GGUF file says about itself.

    Attributes:
        file: The file.
        metadata: Values by key; an array is a list.
        tensors: By name, in the order of the file.
    """

    file: Path
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]

    @property
    def architecture(self) -> str:
        """The family of the model, in the format's words."""
        return str(self.metadata.get("general.architecture"))

    @property
    def n_values(self) -> int:
        """How many numbers the tensors hold together."""
        return sum(prod(tensor.shape) for tensor in self.tensors.values())

    def values(self, name: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return a tensor that is stored as float32."""
        tensor = self.tensors[name]
        if tensor.type != _FLOAT32:
            raise UnsupportedModelError(f"{self.file} has {name} in other numbers than float32")
        count = prod(tensor.shape)
        return np.fromfile(self.file, np.float32, count, offset=tensor.offset).reshape(tensor.shape)


def read_header(file: Path) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises:
        UnsupportedModelError: The file is not GGUF, is cut off, or says the same thing twice.
    """
    with file.open("rb") as stream:
        return _Reader(stream, file).header()


class _Reader:
    """Reads forward and never asks for more than the file has left."""

    def __init__(self, stream: BinaryIO, file: Path) -> None:
        self._stream = stream
        self._file = file
        self._left = file.stat().st_size

    def header(self) -> GgufHeader:
        if self._bytes(4) != b"GGUF":
            raise self._refused("it does not begin with GGUF")
        version, n_tensors, n_keys = self._numbers("I", 1) + self._numbers("Q", 2)
        if version not in _VERSIONS:
            raise self._refused(f"its version is {version}, not 2 or 3, little-endian")
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            self._put(metadata, self._text(), self._value(self._numbers("I", 1)[0]))
        tensors: dict[str, GgufTensor] = {}
        for _ in range(n_tensors):
            name, [n_dimensions] = self._text(), self._numbers("I", 1)
            if n_dimensions > _MOST_DIMENSIONS:
                raise self._refused(f"{name} has {n_dimensions} dimensions")
            shape = tuple(reversed(self._numbers("Q", n_dimensions)))
            [kind], [offset] = self._numbers("I", 1), self._numbers("Q", 1)
            self._put(tensors, name, GgufTensor(shape, kind, offset))
        return GgufHeader(self._file, metadata, self._placed(tensors, metadata))

    def _placed(
        self, tensors: dict[str, GgufTensor], metadata: dict[str, Any]
    ) -> dict[str, GgufTensor]:
        """Return the tensors with offsets in the file; the header counts from its own end."""
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if not (isinstance(alignment, int) and alignment > 0):
            raise self._refused(f"general.alignment is {alignment!r}")
        end = self._stream.tell()
        start = end + -end % alignment
        room = self._left - (start - end)
        for name, tensor in tensors.items():
            # No type stores more than 256 values in one byte, so this bounds what is declared.
            if tensor.offset > room or prod(tensor.shape) > 256 * max(room, 0):
                raise self._refused(f"{name} with shape {list(tensor.shape)} lies beyond its end")
        return {
            name: GgufTensor(tensor.shape, tensor.type, start + tensor.offset)
            for name, tensor in tensors.items()
        }

    def _value(self, kind: int) -> Any:  # noqa: ANN401 (whatever the file says)
        if kind == _STRING:
            return self._text()
        if kind != _ARRAY:
            return self._numbers(self._format(kind), 1)[0]
        [kind], [count] = self._numbers("I", 1), self._numbers("Q", 1)
        if kind == _STRING:
            return [self._text() for _ in range(count)]
        return self._numbers(self._format(kind), count)

    def _format(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise self._refused(f"it holds a value of the unknown type {kind}")
        return _NUMBERS[kind]

    def _numbers(self, code: str, count: int) -> list[Any]:
        return list(struct.unpack(f"<{count}{code}", self._bytes(count * struct.calcsize(code))))

    def _text(self) -> str:
        return self._bytes(self._numbers("Q", 1)[0]).decode("utf-8", errors="backslashreplace")

    def _bytes(self, count: int) -> bytes:
        if count > self._left:
            raise self._refused("it is cut off, or damaged")
        self._left -= count
        return self._stream.read(count)

    def _put(self, into: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401
        if not key.isprintable():
            raise self._refused(f"it holds the name {key!r}")
        if key in into:
            raise self._refused(f"it says {key} twice")
        into[key] = value

    def _refused(self, why: str) -> UnsupportedModelError:
        return UnsupportedModelError(
            f"{self._file} is not a complete GGUF file ({why}): download it again"
        )
