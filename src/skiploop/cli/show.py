"""`skiploop show`: draw a program."""

from __future__ import annotations

import shutil
import textwrap
from typing import Annotated

import typer

from skiploop.cli.console import made_by, print_json
from skiploop.cli.options import Json
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment


def show(
    program: Annotated[str, typer.Argument(help="Text form, such as '3:5x0 6:8x2'.")],
    layers: Annotated[int, typer.Option(help="Layers of the model.", min=1)] = 30,
    as_json: Json = False,
) -> None:
    """Draw a program: which layers are skipped, which run again, in which order.

    Example: skiploop show "3:5x0 6:8x2" --layers 10
    """
    parsed = Program.parse(program, n_layers=layers)
    print(draw(parsed))
    if as_json:
        facts = {"n_slots": parsed.n_slots, "kind": parsed.kind, "path": parsed.path}
        print_json({**parsed.to_json(), **facts, **made_by()})


def draw(program: Program) -> str:
    """Return the program as text as wide as the terminal: its segments, each from a new line."""
    segments = program.segments(max_block=program.n_layers)
    words = [_word(segment) for segment in segments]
    word_width, layer_width = max(map(len, words)), len(str(program.n_layers - 1))
    lines = [f"{program}: {program.n_slots} layer passes instead of {program.n_layers}"]
    for word, segment in zip(words, segments, strict=True):
        layers = " ".join(f"{layer:>{layer_width}}" for layer in range(segment.start, segment.stop))
        beginning = f"  {word:>{word_width}}  {'' if segment.runs else '('}"
        lines += textwrap.wrap(
            layers if segment.runs else f"{layers})",
            shutil.get_terminal_size().columns - 1,
            initial_indent=beginning,
            subsequent_indent=" " * len(beginning),
        )
    return "\n".join(lines)


def _word(segment: Segment) -> str:
    """Return what is done with a segment: nothing to say, skip, x2, x3~0.5, x1*1.5."""
    if segment.changes_nothing:
        return ""
    return f"x{str(segment).partition('x')[2]}" if segment.runs else "skip"
