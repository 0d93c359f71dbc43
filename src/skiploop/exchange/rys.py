"""Lists of RYS ("repeat yourself"): which blocks run again, or all layers in their order.

A line of its configuration files is `i,j` (layers i to before j run twice), several such blocks
with semicolons between them, or `layers:0,1,2,...`; its queues hold the same as JSON. `0,0` is the
plain model. A further block is put in after the last place where its last layer runs.

Source: dnhkng/RYS @3e75aca, src/core/layer_config.py, read and not copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from skiploop.exchange.contents import Contents, path_of
from skiploop.exchange.reading import PathReader, Place, Source, read_json, read_text
from skiploop.files import write_atomic

_BLOCK = re.compile(r"\(?\s*(\d{1,5})\s*,\s*(\d{1,5})\s*\)?")
_LAYERS = re.compile(r"\s*\d{1,5}\s*(,\s*\d{1,5}\s*)*")
_FIELDS = ("layers", "layer_indices", "key", "spec", "blocks")


def read(source: Source) -> Contents:
    """Read the program of every line, or of every entry of a list in JSON.

    Raises:
        DataError: An entry is none; the message names it.
    """
    paths = PathReader(source.n_layers)
    programs = dict.fromkeys(
        program
        for place, entry in _entries(source.path)
        for program in paths.read(_path(entry, place, source.n_layers), place)
    )
    if not programs and not paths.left_out:
        raise Place(source.path).error("there are no programs: expected lines such as 12,15")
    return Contents(tuple(programs), left_out=tuple(paths.left_out))


def _entries(path: Path) -> Iterator[tuple[Place, object]]:
    place = Place(path)
    if read_text(path).lstrip().startswith(("[", "{")):
        data = read_json(path)
        listed = data if isinstance(data, list) else [data]
        for i, entry in enumerate(listed):
            yield place / f"record {i}", entry
        return
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield place / f"line {number}", line.strip()


def _path(entry: object, place: Place, n_layers: int) -> list[object]:
    """Return the layers of an entry in their order."""
    if isinstance(entry, dict):
        for field in _FIELDS:
            if field in entry:
                return _path(entry[field], place / field, n_layers)
        raise place.error(f"none of the fields {', '.join(_FIELDS)} is there")
    if isinstance(entry, str):
        return _spec(entry, place, n_layers)
    layers = place.items(entry)
    if len(layers) == 2 and all(type(layer) is int for layer in layers):
        return _with_blocks([(layers[0], layers[1])], place, n_layers)
    return layers


def _spec(text: str, place: Place, n_layers: int) -> list[object]:
    kind, colon, rest = text.partition(":")
    if colon and kind.strip().lower() == "layers" and _LAYERS.fullmatch(rest):
        return [int(layer) for layer in rest.split(",")]
    found = [_BLOCK.fullmatch(block.strip()) for block in (rest if colon else text).split(";")]
    is_known = not colon or kind.strip().lower() == "blocks"
    blocks = [(int(block[1]), int(block[2])) for block in found if block]
    if not is_known or len(blocks) != len(found):
        raise place.refuse(text, "12,15 or blocks:12,15;20,22 or layers:0,1,2")
    return _with_blocks(blocks, place, n_layers)


def _with_blocks(blocks: list[tuple[int, int]], place: Place, n_layers: int) -> list[object]:
    path: list[object] = list(range(n_layers))
    for start, stop in blocks:
        if (start, stop) == (0, 0):
            continue
        if not 0 <= start < stop <= n_layers:
            raise place.error(f"{start},{stop} is no block of a model of {n_layers} layers")
        after = len(path) - path[::-1].index(stop - 1)
        path[after:after] = range(start, stop)
    return path


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write one list of layers a line.

    Raises:
        ProgramError: A program is no list of layers.
    """
    lists = [path_of(program, "a list of RYS") for program in contents.programs]
    write_atomic(out, "".join(f"layers:{','.join(map(str, path))}\n" for path in lists))
