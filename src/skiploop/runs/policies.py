"""The registry of policies: what each name means, needs and is made by. No model is loaded for it.

Help texts, the table in docs/reference/policies.md, the choice without `--policy` and error
messages are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from skiploop.errors import ConfigError, unknown_name
from skiploop.programs.program import Program
from skiploop.shipped import shipped_policies

if TYPE_CHECKING:
    from skiploop.runs.session import Run

Stage = Literal["search", "menu", "train", "selector"]
Role = Literal["choice", "vote", "sample", "control"]


@dataclass(frozen=True, kw_only=True)
class Argument:
    """What a name has after its colon.

    Attributes:
        word: Its place in help texts.
        meaning: What it says, for error messages.
        example: One of them.
        spell: Returns the one spelling of a text, or nothing if the text is no such argument.
    """

    word: str
    meaning: str
    example: str
    spell: Callable[[str], str]

    def read(self, kind: str, text: str) -> str:
        """Return the one spelling of what follows the colon of a name.

        Raises:
            ConfigError: It is no such argument.
        """
        if spelling := self.spell(text):
            return spelling
        raise ConfigError(
            f"'{kind}:{text}': after '{kind}:' comes {self.meaning}, such as {kind}:{self.example}"
        )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One policy, or all whose names differ after a colon.

    Attributes:
        name: The name, or what stands before the colon.
        does: Which programs or answers it gives; one line.
        maker: The function that makes it, as `module:function`; it takes an `Asked`.
        argument: What comes after the colon; None if nothing does.
        needs: Stages of a run, of which one must have run to its end; any run will do without.
        offered_after: Stages after which it is compared where nobody says which policies.
        role: What it is: a `choice` of one program a prompt, a `vote` of several programs, a
            `sample` of answers, or a `control` that choices are compared with.
        controls: Names of the controls that are judged beside it.
    """

    name: str
    does: str
    maker: str
    argument: Argument | None = None
    needs: tuple[Stage, ...] = ()
    offered_after: tuple[Stage, ...] = ()
    role: Role = "choice"
    controls: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """How its names look."""
        return f"{self.name}:{self.argument.word}" if self.argument else self.name

    @property
    def learns_from_menu(self) -> bool:
        """Whether it knows only what the table of a menu tells."""
        return self.needs in {("menu",), ("selector",)}


def _number_of_layers(text: str) -> str:
    with suppress(ValueError):
        if math.isfinite(n_slots := float(text)):
            return f"{n_slots:g}"
    return ""


def _number_of_answers(text: str) -> str:
    return str(int(text)) if text.isdecimal() and int(text) else ""


def _program(text: str) -> str:
    edits = " ".join(text.split())
    Program.read_edits(edits)
    return edits


_LAYERS = Argument(
    word="LAYERS",
    meaning="how many layer passes are allowed on average",
    example="29",
    spell=_number_of_layers,
)
_ANSWERS = Argument(
    word="K", meaning="how many answers vote", example="5", spell=_number_of_answers
)
_PROGRAM = Argument(word="PROGRAM", meaning="a program", example="14:15x2", spell=_program)

_CONTROLS = ("surface", "shuffled:open")
"""The same menu, chosen from by what should be worth less than the states of the model."""

_ENTRIES = (
    Entry(
        name="identity",
        does="the plain model",
        maker="skiploop.runs.making:identity",
    ),
    Entry(
        name="polar",
        does="the program that the trained predictor finds likeliest for the prompt",
        maker="skiploop.runs.making:polar",
        needs=("train",),
        offered_after=("search",),
    ),
    Entry(
        name="polar:joint",
        does="the program that is likeliest as a whole, cuts and operations together",
        maker="skiploop.runs.making:polar_joint",
        needs=("train",),
    ),
    Entry(
        name="polar:prior",
        does="of the 16 likeliest programs the one that is most likelier here than on average",
        maker="skiploop.runs.making:polar_prior",
        needs=("train",),
    ),
    Entry(
        name="polar:menu",
        does="the program of the menu that is most likelier here than on average",
        maker="skiploop.runs.making:polar_menu",
        needs=("train",),
    ),
    Entry(
        name="selector",
        does="the program of the menu with the highest expected score, or the plain model where "
        "none is better by a margin",
        maker="skiploop.runs.making:selector",
        needs=("selector",),
        offered_after=("menu",),
        controls=_CONTROLS,
    ),
    Entry(
        name="selector",
        argument=_LAYERS,
        does="the same with so many layer passes on average",
        maker="skiploop.runs.making:limited_selector",
        needs=("selector",),
        controls=_CONTROLS,
    ),
    Entry(
        name="vote",
        argument=_ANSWERS,
        does="the answer that gets most weight from the selector's best K programs; each answer "
        "counts with its probability",
        maker="skiploop.runs.making:vote",
        needs=("selector",),
        role="vote",
    ),
    Entry(
        name="majority",
        argument=_ANSWERS,
        does="the same, all answers counting alike",
        maker="skiploop.runs.making:majority",
        needs=("selector",),
        role="vote",
    ),
    Entry(
        name="learned",
        argument=_ANSWERS,
        does="the same, each answer counting with the learned probability that it is right",
        maker="skiploop.runs.making:learned",
        needs=("selector",),
        role="vote",
    ),
    Entry(
        name="sample",
        argument=_ANSWERS,
        does="the most frequent of K answers that the plain model draws at temperature 0.7 "
        "(self-consistency)",
        maker="skiploop.runs.making:sample",
        role="sample",
    ),
    Entry(
        name="static",
        does="one program for all prompts, the best one on training questions",
        maker="skiploop.runs.making:static",
        needs=("search", "menu"),
        offered_after=("search", "menu"),
    ),
    Entry(
        name="by-kind",
        does="the program with most right answers to training questions of the same kind",
        maker="skiploop.runs.making:by_kind",
        needs=("menu",),
    ),
    Entry(
        name="damped",
        does="one damped loop in the middle of the model, for all prompts",
        maker="skiploop.runs.making:damped",
    ),
    Entry(
        name="random",
        does="random single edits, other ones for each prompt",
        maker="skiploop.runs.making:random_edits",
        needs=("search", "menu"),
        offered_after=("search", "menu"),
    ),
    Entry(
        name="surface",
        does="as selector, from the spelling of the question instead of the model's states",
        maker="skiploop.runs.making:surface",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="shuffled",
        does="as selector, learned from answers that belong to other questions",
        maker="skiploop.runs.making:shuffled",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="shuffled:open",
        does="the same, always the program of the highest expected score",
        maker="skiploop.runs.making:open_shuffled",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="random-menu",
        does="as selector, on a menu of the same edits at random places",
        maker="skiploop.runs.making:random_menu",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="fixed",
        argument=_PROGRAM,
        does="this program for all prompts",
        maker="skiploop.runs.making:fixed",
    ),
)

POLICIES = tuple(entry.name for entry in _ENTRIES if not entry.argument)
"""All names that are in the registry as they are: neither patterns nor shipped policies."""


def entries() -> list[Entry]:
    """Return the whole registry, that which ships with skiploop last."""
    shipped = [
        Entry(
            name=name,
            does="what the shipped policy chooses, in a run with its own questions",
            maker="skiploop.runs.making:shipped",
        )
        for name in shipped_policies()
    ]
    return [*_ENTRIES, *shipped]


def patterns() -> list[str]:
    """Return how all names look, in the order of the registry."""
    return [entry.pattern for entry in entries()]


def find(name: str) -> tuple[Entry, str]:
    """Return the entry of a policy, and the one spelling of what its name has after the colon.

    Raises:
        UnknownNameError: There is no such policy.
        ProgramError: The program of a `fixed` policy is none.
        ConfigError: The number after `selector:` or of a vote is none.
    """
    kind, colon, text = name.partition(":")
    for entry in entries():
        if entry.argument is None and entry.name == name:
            return entry, ""
        if entry.argument and colon and entry.name == kind:
            return entry, entry.argument.read(kind, text)
    raise unknown_name("policy", name, patterns())


def checked_name(name: str) -> str:
    """Return the name of a policy in its one spelling, before a model is loaded for it.

    Raises:
        UnknownNameError: As for `find`.
        ProgramError: As for `find`.
        ConfigError: As for `find`.
    """
    entry, argument = find(name)
    return f"{entry.name}:{argument}" if argument else entry.name


def controls_of(names: Sequence[str]) -> tuple[str, ...]:
    """Return the policies beside which those of some names have to be seen."""
    return tuple(dict.fromkeys(control for name in names for control in entry_of(name).controls))


def entry_of(name: str) -> Entry:
    """Return the entry of a policy."""
    return find(name)[0]


def available(run: Run) -> list[str]:
    """Return the policies that the stages of a run lead to, trained or not."""
    stages: tuple[Stage, ...] = ("search", "menu")
    found = [
        entry.name
        for stage in stages
        if run.has(stage)
        for entry in _ENTRIES
        if stage in entry.offered_after
    ]
    return ["identity", *dict.fromkeys(found)]
