"""Lists of layers for tools that rebuild GGUF files: all layers by number, one line a program.

Such tools take it as the path of an option, and so do others that take a list of layers.
"""

from __future__ import annotations

from pathlib import Path

from skiploop.exchange.contents import Contents, path_of
from skiploop.files import write_atomic


def write(out: Path, contents: Contents, _model: object) -> None:
    """Write the layers of each program in the order in which they run.

    Raises:
        ProgramError: A program is no list of layers.
    """
    lists = [path_of(program, "a list of layers") for program in contents.programs]
    write_atomic(out, "".join(f"{','.join(map(str, path))}\n" for path in lists))
