"""What a file of another project holds, in skiploop's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skiploop.errors import ProgramError
from skiploop.programs.program import Program


@dataclass(frozen=True)
class Judged:
    """A question, and which programs answered it right.

    Attributes:
        question: Its text.
        gold: The right answer.
        right: Programs that answered it right.
        wrong: Programs that did not; none of them is among the right ones.
    """

    question: str
    gold: str
    right: tuple[Program, ...] = ()
    wrong: tuple[Program, ...] = ()


@dataclass(frozen=True)
class Contents:
    """All that one file holds.

    Attributes:
        programs: A list of programs; none in a file of questions.
        questions: Questions with verdicts; none in a list of programs.
        left_out: What the format can say and no program can, one short text each time.
    """

    programs: tuple[Program, ...] = ()
    questions: tuple[Judged, ...] = ()
    left_out: tuple[str, ...] = ()


def path_of(program: Program, kind: str) -> list[int]:
    """Return the path of a program, for a format that knows nothing but paths.

    Args:
        program: What is to be written.
        kind: What is written, for the message.

    Raises:
        ProgramError: A loop of it is damped, or layers are scaled.
    """
    if not all(edit.is_list_of_layers for edit in program.edits):
        raise ProgramError(
            f"program {program} has a damped loop or scaled layers, which no list of layers says: "
            f"it cannot be written as {kind}; use --to recipe"
        )
    return list(program.path)


def runs_of(path: Sequence[int]) -> Iterable[range]:
    """Yield the longest pieces of a path in which each layer follows the one before."""
    start = 0
    for end in range(1, len(path) + 1):
        if end == len(path) or path[end] != path[end - 1] + 1:
            yield range(path[start], path[end - 1] + 1)
            start = end
