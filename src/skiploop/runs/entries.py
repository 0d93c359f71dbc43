"""What the name of each policy means, needs and is made by. No model is loaded for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from skiploop.errors import ConfigError
from skiploop.programs.program import Program
from skiploop.tasks.base import Split

Stage = Literal["search", "menu", "train", "selector"]
Role = Literal["choice", "vote", "sample", "executor", "control"]


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
        least_passes: The function that says how few layer passes it can take in a run, as
            `module:function`; empty if its name says nothing of them.
        tries: The function that says how many answers it asks for to be made, beside those of
            stages, as `module:function`; empty if it asks for none.
        needs: Stages of a run, of which one must have run to its end; any run will do without.
        chosen_on: Parts of the task that it reads when it is made: it is not judged on them.
        offered_after: Stages after which it is compared where nobody says which policies.
        role: What it is: a `choice` of one program a prompt, a `vote` of several programs, a
            `sample` of answers, an `executor` that runs the model as no program says, or a
            `control` that choices are compared with.
        controls: Names of the controls that are judged beside it.
        old_names: What it was called in the last version: still understood, offered nowhere.
    """

    name: str
    does: str
    maker: str
    argument: Argument | None = None
    least_passes: str = ""
    tries: str = ""
    needs: tuple[Stage, ...] = ()
    chosen_on: tuple[Split, ...] = ()
    offered_after: tuple[Stage, ...] = ()
    role: Role = "choice"
    controls: tuple[str, ...] = ()
    old_names: tuple[str, ...] = ()

    @property
    def pattern(self) -> str:
        """How its names look."""
        return f"{self.name}:{self.argument.word}" if self.argument else self.name

    @property
    def learns_nothing(self) -> bool:
        """Whether it is made from its name and the model alone."""
        return not self.needs and not self.chosen_on

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

_FOLDER = Argument(
    word="FOLDER",
    meaning="the folder of some weights, or their id on the hub",
    example="xuan-luo/FlexiDepth-Llama-3-8B-Instruct",
    spell=str.strip,
)

_TEXT: tuple[Split, ...] = ("train",)
"""Layers are measured on training prompts and their answers, or compared on them."""

_SWEEP: tuple[Split, ...] = ("train", "validation")
"""Candidates race on training questions; the winner must show a gain on validation."""

_CONTROLS = ("surface", "shuffled:open")
"""The same menu, chosen from by what should be worth less than the states of the model."""

ENTRIES = (
    Entry(
        name="identity",
        does="the plain model",
        maker="skiploop.runs.methods.given:identity",
    ),
    Entry(
        name="polar",
        does="the program that the trained predictor finds likeliest for the prompt",
        maker="skiploop.runs.methods.learned:polar",
        needs=("train",),
        offered_after=("search",),
    ),
    Entry(
        name="selector",
        does="the program of the menu with the highest expected score, or the plain model where "
        "none is better by a margin",
        maker="skiploop.runs.methods.learned:selector",
        needs=("selector",),
        offered_after=("menu",),
        controls=_CONTROLS,
    ),
    Entry(
        name="selector",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:shortest_on_menu",
        does="the same with so many layer passes on average",
        maker="skiploop.runs.methods.learned:limited_selector",
        needs=("selector",),
        controls=_CONTROLS,
    ),
    Entry(
        name="vote",
        argument=_ANSWERS,
        does="the answer that gets most weight from the selector's best K programs; each answer "
        "counts with its probability",
        maker="skiploop.runs.methods.learned:vote",
        needs=("selector",),
        role="vote",
    ),
    Entry(
        name="majority",
        argument=_ANSWERS,
        does="the same, all answers counting alike",
        maker="skiploop.runs.methods.learned:majority",
        needs=("selector",),
        role="vote",
    ),
    Entry(
        name="sample",
        argument=_ANSWERS,
        does="the most frequent of K answers that the plain model draws at temperature 0.7 "
        "(self-consistency)",
        maker="skiploop.runs.methods.given:sample",
        role="sample",
    ),
    Entry(
        name="static",
        does="one program for all prompts, the best one on training questions",
        maker="skiploop.runs.methods.given:static",
        needs=("search", "menu"),
        offered_after=("search", "menu"),
    ),
    Entry(
        name="by-category",
        does="the program with most right answers to training questions of the same category",
        maker="skiploop.runs.methods.learned:by_category",
        needs=("menu",),
        old_names=("by-kind",),
    ),
    Entry(
        name="damped",
        does="one damped loop in the middle of the model, for all prompts",
        maker="skiploop.runs.methods.given:damped",
    ),
    Entry(
        name="shortgpt",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:one_layer",
        does="the plain model without the layers that change the states of training text least",
        maker="skiploop.runs.methods.pruned:shortgpt",
        chosen_on=_TEXT,
    ),
    Entry(
        name="angular",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:one_layer",
        does="the plain model without the one block that turns the states of training text least",
        maker="skiploop.runs.methods.pruned:angular",
        chosen_on=_TEXT,
    ),
    Entry(
        name="sleb",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:one_layer",
        does="the plain model without layers that were taken away one by one, each time the one "
        "without which training text is likeliest",
        maker="skiploop.runs.methods.pruned:sleb",
        chosen_on=_TEXT,
    ),
    Entry(
        name="tale",
        does="the same by right answers to training questions, as many as are best, or the plain "
        "model where validation shows no gain",
        maker="skiploop.runs.methods.pruned:tale",
        tries="skiploop.runs.tries:shortenings",
        chosen_on=_SWEEP,
    ),
    Entry(
        name="tale",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:one_layer",
        does="the same with so many layers left",
        maker="skiploop.runs.methods.pruned:limited_tale",
        tries="skiploop.runs.tries:shortenings",
        chosen_on=_TEXT,
    ),
    Entry(
        name="rys",
        does="one block of any length twice, the best of all on training questions, or the plain "
        "model where validation shows no gain (static repeat)",
        maker="skiploop.runs.methods.swept:rys",
        tries="skiploop.runs.tries:one_block",
        chosen_on=_SWEEP,
    ),
    Entry(
        name="blr",
        does="the same, with one block or two (block recursion)",
        maker="skiploop.runs.methods.swept:blr",
        tries="skiploop.runs.tries:two_blocks",
        chosen_on=_SWEEP,
    ),
    Entry(
        name="tflt",
        does="the same, with a damped loop over a window in the middle of the model",
        maker="skiploop.runs.methods.swept:tflt",
        tries="skiploop.runs.tries:windows",
        chosen_on=_SWEEP,
    ),
    Entry(
        name="mean-iterates",
        does="the same, with a loop after which the mean of all passes goes on",
        maker="skiploop.runs.methods.swept:mean_iterates",
        tries="skiploop.runs.tries:loops",
        chosen_on=_SWEEP,
    ),
    Entry(
        name="early-exit",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:first_exit",
        does="the plain model, in which each token leaves at the first exit that is sure enough, "
        "with so many layer passes a token on validation",
        maker="skiploop.runs.methods.calibrated:early_exit",
        tries="skiploop.runs.tries:watched",
        chosen_on=("validation",),
        role="executor",
    ),
    Entry(
        name="sampled",
        does="one answer that the plain model draws, at the temperature with most right answers on "
        "validation",
        maker="skiploop.runs.methods.calibrated:sampled",
        tries="skiploop.runs.tries:temperatures",
        chosen_on=("validation",),
        role="sample",
    ),
    Entry(
        name="drllm",
        does="layers skipped or run twice as a router before each decides, which learned from "
        "right programs (Dr.LLM)",
        maker="skiploop.runs.methods.routed:drllm",
        needs=("search", "menu"),
    ),
    Entry(
        name="recursion",
        does="as selector, on all programs that run one block of any length twice (block-level "
        "recursion)",
        maker="skiploop.runs.methods.recursion:recursion",
        tries="skiploop.runs.tries:all_blocks",
        chosen_on=_TEXT,
    ),
    Entry(
        name="mindskip",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:without_attention",
        does="the plain model without the attention of layers whose routers the prompt closes "
        "(MindSkip)",
        maker="skiploop.runs.methods.routed:mindskip",
        chosen_on=_SWEEP,
        role="executor",
    ),
    Entry(
        name="flexidepth",
        does="every token skips layers of the second half by their routers, and adapters take "
        "their place (FlexiDepth)",
        maker="skiploop.runs.methods.routed:flexidepth",
        chosen_on=_TEXT,
        role="executor",
    ),
    Entry(
        name="flexidepth",
        argument=_LAYERS,
        least_passes="skiploop.runs.budgets:by_adapters",
        does="the same with so many layer passes on average",
        maker="skiploop.runs.methods.routed:limited_flexidepth",
        chosen_on=_SWEEP,
        role="executor",
    ),
    Entry(
        name="flexidepth-weights",
        argument=_FOLDER,
        does="the same with routers and adapters that were released for the model",
        maker="skiploop.runs.methods.routed:flexidepth_weights",
        role="executor",
    ),
    Entry(
        name="random",
        does="random single edits, other ones for each prompt",
        maker="skiploop.runs.methods.given:random_edits",
        needs=("search", "menu"),
        offered_after=("search", "menu"),
    ),
    Entry(
        name="surface",
        does="as selector, from the spelling of the prompt instead of the model's states",
        maker="skiploop.runs.methods.learned:surface",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="shuffled",
        does="as selector, learned from answers that belong to other questions",
        maker="skiploop.runs.methods.learned:shuffled",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="shuffled:open",
        does="the same, always the program of the highest expected score",
        maker="skiploop.runs.methods.learned:open_shuffled",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="random-menu",
        does="as selector, on a menu of the same edits at random places",
        maker="skiploop.runs.methods.learned:random_menu",
        needs=("selector",),
        role="control",
    ),
    Entry(
        name="fixed",
        argument=_PROGRAM,
        does="this program for all prompts",
        maker="skiploop.runs.methods.given:fixed",
    ),
)
