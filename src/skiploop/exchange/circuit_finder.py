"""Paths of llm-circuit-finder: `0..14,12,13,14,15..39` runs layers 12 to 14 twice.

A range holds both of its ends. A line is a path, or a result of its sweep in JSON, which names one
repeated block. `-14` is the attention of layer 14 without the rest, which no program can say.

Source: alainnothere/llm-circuit-finder @b94f373 (README), its forks signalnine/llm-circuit-finder
@8a25c31 (a sweep) and twhlai/llm-layer-loop-search @bda1a04 (attention alone), read and not copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from skiploop.exchange.contents import Contents, path_of, runs_of
from skiploop.exchange.reading import PathReader, Place, Source, read_text
from skiploop.files import write_atomic
from skiploop.programs.program import Program

_PART = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?")
_ATTENTION = re.compile(r"-\d+")


def read(source: Source) -> Contents:
    """Read the program of every line that is not empty and does not start with `#`.

    Raises:
        DataError: A line is no path; the message names it.
    """
    place, paths = Place(source.path), PathReader(source.n_layers)
    programs: dict[Program, None] = {}
    for number, line in enumerate(read_text(source.path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            programs |= dict.fromkeys(_read_line(line, place / f"line {number}", paths))
    if not programs and not paths.left_out:
        raise place.error("there are no paths: expected lines such as 0..14,12..14,15..39")
    return Contents(tuple(programs), left_out=tuple(paths.left_out))


def _read_line(line: str, place: Place, paths: PathReader) -> list[Program]:
    if line.lstrip().startswith("{"):
        return paths.read(_swept(line, place, paths.n_layers), place)
    path: list[int] = []
    for part in line.replace(" ", "").strip().split(","):
        found = _PART.fullmatch(part)
        if _ATTENTION.fullmatch(part):
            paths.leave_out(place, f"{part} is the attention of a layer without the rest of it")
            return []
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise place.refuse(part, "a layer such as 12 or a range such as 12..14")
        path += range(int(found[1]), int(found[2] or found[1]) + 1)
    return paths.read(path, place)


def _swept(line: str, place: Place, n_layers: int) -> list[int]:
    """Return the path of a result of the sweep: layers `dup_start` to before `dup_end` twice."""
    try:
        record = place.record(json.loads(line))
    except json.JSONDecodeError as error:
        raise place.error(f"no JSON ({error.msg}, column {error.colno})") from error
    start, stop = (place.field(record, name) for name in ("dup_start", "dup_end"))
    if (start, stop) == (-1, -1):  # what it calls the baseline
        return list(range(n_layers))
    if type(start) is not int or type(stop) is not int or not 0 <= start < stop <= n_layers:
        block = f"{start!r} to {stop!r}"
        raise (place / "dup_start").error(f"{block} is no block of a model of {n_layers} layers")
    return [*range(stop), *range(start, n_layers)]


def path_text(path: Sequence[int]) -> str:
    """Return the short form of a path.

    Example:
        >>> path_text([0, 1, 2, 1, 2, 4])
        '0..2,1..2,4'
    """
    return ",".join(f"{r[0]}..{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs_of(path))


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write one path a line.

    Raises:
        ProgramError: A program is no path.
    """
    paths = [path_of(program, "a path of layers") for program in contents.programs]
    write_atomic(out, "".join(f"{path_text(path)}\n" for path in paths))
