"""TALE's sets of layers to leave out, from any of the three files of its search.

`accepted_configs.json` lists the sets that it went through, `candidate_results.csv` all that it
tried, `summary.json` names the last, the best and the smallest one that is no worse.

Source: omyokun/tale @3ba1e30 (README, src/tale/search.py), read and not copied.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from skiploop.errors import ProgramError
from skiploop.exchange.contents import Contents
from skiploop.exchange.reading import PathReader, Place, Source, read_json, read_text
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.programs.program import Program

_DROPPED = "drop_layers_0idx"
_SUMMARY = tuple(f"{which}_{_DROPPED}" for which in ("final", "best", "bsba"))


def read(source: Source) -> Contents:
    """Read the program of every set.

    Raises:
        DataError: The file is none of TALE's; the message names record and field.
    """
    paths, place = PathReader(source.n_layers), Place(source.path)
    programs = dict.fromkeys(
        program
        for at, dropped in _sets(source.path, place)
        for program in paths.read(_kept(dropped, at, source.n_layers), at)
    )
    if not programs and not paths.left_out:
        raise place.error(f"there are no sets of layers ({_DROPPED})")
    return Contents(tuple(programs), left_out=tuple(paths.left_out))


def _sets(path: Path, place: Place) -> Iterator[tuple[Place, object]]:
    """Yield where each set stands, and the set."""
    if path.suffix == ".csv":
        for i, row in enumerate(csv.DictReader(io.StringIO(read_text(path)))):
            at = place / f"record {i}" / _DROPPED
            yield at, _from_cell(at, row.get(_DROPPED))
        return
    data = read_json(path)
    if isinstance(data, dict):
        for field in _SUMMARY:
            yield place / field, place.field(data, field)
        return
    for i, value in enumerate(place.items(data)):
        at = place / f"record {i}"
        yield at / _DROPPED, at.field(at.record(value), _DROPPED)


def _from_cell(place: Place, cell: str | None) -> object:
    try:
        return json.loads(cell or "")
    except ValueError as error:
        raise place.refuse(cell, "a list of layers such as [18, 20]") from error


def _kept(dropped: object, place: Place, n_layers: int) -> list[int]:
    """Return the layers that are not left out."""
    layers = place.items(dropped)
    for layer in layers:
        if type(layer) is not int or not 0 <= layer < n_layers:
            raise place.error(f"there is no layer {layer!r} in a model of {n_layers} layers")
    return [layer for layer in range(n_layers) if layer not in layers]


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write the sets of layers that programs leave out, as `accepted_configs.json`.

    Raises:
        ProgramError: A program runs a layer again.
    """
    sets = [
        {"iteration": i, _DROPPED: _left_out(program)}
        for i, program in enumerate(contents.programs)
    ]
    write_atomic(out, json_text(sets, indent=2) + "\n")


def _left_out(program: Program) -> list[int]:
    if program.kind not in ("identity", "skip"):
        raise ProgramError(
            f"program {program} does more than to skip layers, and TALE's sets only leave layers "
            "out: use another format"
        )
    return [layer for layer in range(program.n_layers) if layer not in program.path]
