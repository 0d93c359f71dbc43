"""skiploop's own list of programs: their text forms, one a line.

`skiploop menu build --candidates` and people read it.
"""

from __future__ import annotations

from pathlib import Path

from skiploop.errors import ProgramError
from skiploop.exchange.contents import Contents
from skiploop.exchange.reading import Place, Source, read_text
from skiploop.files import write_atomic
from skiploop.programs.program import Program

PROGRAMS_FILE = "programs.txt"
"""Name of the list in a run folder."""


def read_lines(path: Path) -> list[str]:
    """Return the lines that are not empty and do not start with `#`.

    Raises:
        DataError: There are none, or one is no text form of a program; the message names it.
    """
    lines: list[str] = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                Program.read_edits(line)
            except ProgramError as error:
                raise (Place(path) / f"line {number}").error(str(error)) from error
            lines.append(" ".join(line.split()))
    if not lines:
        raise Place(path).error("there are no programs: expected lines such as 14:15x2")
    return lines


def read(source: Source) -> Contents:
    """Read the program of every line.

    Raises:
        DataError: A line is no text form of a program; the message names it.
        ProgramError: A program is for a model with other layers.
    """
    programs = [Program.parse(line, source.n_layers) for line in read_lines(source.path)]
    return Contents(tuple(dict.fromkeys(programs)))


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write one program a line."""
    write_atomic(out, "".join(f"{program}\n" for program in contents.programs))
