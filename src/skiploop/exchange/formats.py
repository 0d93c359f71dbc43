"""The registry of formats: what files can be read and written, by name. No model is loaded for it.

Help texts, the table in docs/reference/exchange.md and error messages are made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

from skiploop.errors import DataError, ProgramError, unknown_name

if TYPE_CHECKING:
    from skiploop.exchange.contents import Contents
    from skiploop.exchange.reading import Source
    from skiploop.models.frozen import FrozenModel

Holds = Literal["one program", "programs", "questions"]
Way = Literal["import", "export"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """A sort of file.

    Attributes:
        name: After `--from` and `--to`.
        does: What it is; one line.
        holds: One program, a list of them, or questions with the verdicts of programs.
        module: Where its functions `read` and `write` are, if it has both or one of them.
        ways: What can be done with it.
        task: The task that puts a file of questions nearly as the project does.
        options: Options of that task.
    """

    name: str
    does: str
    holds: Holds
    module: str
    ways: tuple[Way, ...] = ("import", "export")
    task: str = ""
    options: tuple[str, ...] = ()

    def read(self, source: Source) -> Contents:
        """Return what a file of this format holds.

        Raises:
            DataError: It is no such file; the message names file, record and field.
            ProgramError: It holds one program, and skiploop knows no such program.
        """
        reader: Callable[[Source], Contents] = resolve_name(f"{self.module}:read")
        return reader(source)

    def write(self, out: Path, contents: Contents, model: FrozenModel) -> None:
        """Write a file, or a folder, of this format.

        Raises:
            ProgramError: The format cannot say what a program does, or holds only one.
            DataError: There is nothing to write.
            SkiploopError: As the format says.
        """
        found = contents.questions if self.holds == "questions" else contents.programs
        if not found:
            raise DataError(f"{out}: there are no {self.holds} to write as {self.name}")
        if self.holds == "one program" and len(found) > 1:
            raise ProgramError(f"{self.name} holds one program, not {len(found)}: give one")
        writer: Callable[[Path, Contents, FrozenModel], None] = resolve_name(f"{self.module}:write")
        writer(out, contents, model)


FORMATS = (
    Format(
        name="recipe",
        does="a small folder: base model, who it is, and a program or a policy",
        holds="one program",
        module="skiploop.exchange.recipe",
        ways=("export",),
    ),
    Format(
        name="checkpoint",
        does="an ordinary Hugging Face model in which repeated layers are copies",
        holds="one program",
        module="skiploop.exchange.checkpoint",
        ways=("export",),
    ),
    Format(
        name="mergekit",
        does="a passthrough merge of mergekit, in YAML",
        holds="one program",
        module="skiploop.exchange.mergekit",
    ),
    Format(
        name="layers",
        does="every layer by its number, for tools that rebuild GGUF files",
        holds="programs",
        module="skiploop.exchange.layers",
        ways=("export",),
    ),
    Format(
        name="circuit-finder",
        does="paths such as 0..14,12..14,15..39 of llm-circuit-finder, and its sweeps",
        holds="programs",
        module="skiploop.exchange.circuit_finder",
    ),
    Format(
        name="rys",
        does="lists of RYS: blocks that run again such as 12,15, or layers:0,1,2",
        holds="programs",
        module="skiploop.exchange.rys",
    ),
    Format(
        name="tale",
        does="sets of layers that TALE left out: accepted, tried, or of its summary",
        holds="programs",
        module="skiploop.exchange.tale",
    ),
    Format(
        name="text",
        does="text forms of programs such as 14:15x2, one a line",
        holds="programs",
        module="skiploop.exchange.listing",
    ),
    Format(
        name="polar",
        does="merged_mcts_samples.json of PoLar",
        holds="questions",
        module="skiploop.exchange.polar",
        task="boxed",
    ),
    Format(
        name="re-polar",
        does="the same of RE-PoLar, and its grids of menus",
        holds="questions",
        module="skiploop.exchange.re_polar",
        task="boxed",
    ),
    Format(
        name="drllm",
        does="results of Dr.LLM's search, of which its labels are made",
        holds="questions",
        module="skiploop.exchange.drllm",
        task="jsonl",
        options=("shots=0",),
    ),
)


def names(way: Way) -> list[str]:
    """Return the names of the formats that can be read or written."""
    return [one.name for one in FORMATS if way in one.ways]


def find_format(name: str, way: Way) -> Format:
    """Return a format by its name.

    Raises:
        UnknownNameError: There is none, or it cannot be read or written.
    """
    for one in FORMATS:
        if one.name == name and way in one.ways:
            return one
    raise unknown_name(f"format to {way}", name, names(way))
