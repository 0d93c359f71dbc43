"""A menu: a short list of programs that together answer more than the plain model does.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from skiploop.config import AtMost, renamed
from skiploop.errors import ConfigError, ProgramError, RunError, one_line
from skiploop.jsontext import read_json, write_json
from skiploop.menus.halving import n_pairs, survivors
from skiploop.programs.damping import RUNS
from skiploop.programs.program import Program
from skiploop.programs.segment import Segment
from skiploop.programs.space import ProgramSpace
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.score_table import ScoreTable, collect

MENU_FILE = "menu.json"
PARENTS = 8
"""Programs from which those with one more edit are made."""
QUESTIONS_A_PROGRAM = 12
"""Fewer questions tell too little of each program on a menu."""


@dataclass(frozen=True, kw_only=True)
class MenuConfig:
    """How a menu is made, and how much is found out about it.

    Attributes:
        size: Programs on it at most, the identity among them; fewer where fewer end the race.
            By default fewer where there are few questions: one for each `QUESTIONS_A_PROGRAM`.
        race_questions: Questions on which programs compete for a place. By default a third of all
            where that is less.
        limit: Questions that all programs on the menu answer, for a selector to learn from; the
            first ones of the split, those of the race among them. By default all where there are
            fewer.
        split: Part of the task.
        max_edits: Most edits of a program; 0 for programs that scale layers alone.
        first_layer: Layers before this one run once in every program.
        max_block: Longest block that one edit skips or repeats.
        max_runs: Most passes over one block.
        damping_anchors: Every block that may be repeated is tried as a damped loop too, with each
            of them.
        layer_cost: Score that one layer pass must bring: above 0, programs that are short without
            losing as much get places too.
        candidates: Text forms of programs that race in place of those with one edit.
        scaled: Programs that scale layers and are learned before the race, in which they are beside
            the others.
        scale_questions: Questions that these are learned from, behind those of `limit`. By default
            all where there are fewer.

    Raises:
        ConfigError: A number is out of range.
    """

    size: int = AtMost(24)
    race_questions: int = renamed("raced", AtMost(120))
    limit: int = AtMost(1500)
    split: str = "train"
    max_edits: int = 2
    first_layer: int = 4
    max_block: int = 4
    max_runs: int = 2
    damping_anchors: tuple[float, ...] = renamed("anchors", ())
    layer_cost: float = renamed("price", 0.0)
    candidates: tuple[str, ...] = ()
    scaled: int = 0
    scale_questions: int = AtMost(4000)

    def __post_init__(self) -> None:
        least = dict.fromkeys(("race_questions", "limit", "max_block", "max_runs"), 1)
        least |= {"max_edits": 0 if self.scaled else 1, "scaled": 0, "scale_questions": 1}
        for name, number in {"size": 2, "first_layer": 0, **least}.items():
            if vars(self)[name] < number:
                raise ConfigError(f"menu.{name} is {vars(self)[name]}: give at least {number}")
        if self.race_questions > self.limit and not isinstance(self.race_questions, AtMost):
            raise ConfigError(
                f"menu.race_questions is {self.race_questions}: give at most menu.limit, which is "
                f"{self.limit}"
            )
        anchors = self.damping_anchors
        if anchors and not 0 <= min(anchors) <= max(anchors) <= 1:
            raise ConfigError(f"damping anchors are {anchors}: give numbers from 0 to 1")
        if not 0 <= self.layer_cost < 1:
            raise ConfigError(f"layer cost is {self.layer_cost}: give a number from 0 to below 1")

    def fitted(self, n_questions: int) -> MenuConfig:
        """Return the settings for so many questions: what nobody gave fits them.

        Raises:
            ConfigError: More of them are to race than there are.
        """
        asked = replace(self, limit=n_questions)
        if isinstance(self.race_questions, AtMost):
            fewer = min(self.race_questions, max(1, n_questions // 3))
            asked = replace(asked, race_questions=fewer)
        if isinstance(self.size, AtMost):
            fewer = min(self.size, max(2, n_questions // QUESTIONS_A_PROGRAM))
            asked = replace(asked, size=fewer)
        return asked

    def n_trials(self, n_layers: int) -> int:
        """Return how many pairs are judged at most."""
        edits = self.edits(n_layers) if self.max_edits else []
        n_first = 1 + self.scaled + len(self.candidates or edits)
        all_first = self.race_questions * n_first
        raced = all_first if n_first <= self.size else n_pairs(self.race_questions, n_first)
        children = n_pairs(self.race_questions, 1 + PARENTS * PARENTS)
        others = (self.limit - self.race_questions) * self.size
        return raced + max(self.max_edits - 1, 0) * children + others

    def space(self, n_layers: int) -> ProgramSpace:
        """Return the space that the programs come from."""
        return ProgramSpace(n_layers, max_block=self.max_block, max_runs=self.max_runs)

    def least_slots(self, n_layers: int) -> int:
        """Return how long a program of the menu is at least."""
        first = first_programs(self, n_layers)
        shortest = min([n_layers, *(program.n_slots for program in first)])
        return max(n_layers - self.max_edits * max(n_layers - shortest, 0), 1)

    def edits(self, n_layers: int) -> list[Segment]:
        """Return every edit that a program may have."""
        plain = [e for e in self.space(n_layers).single_edits if e.start >= self.first_layer]
        blocks = [edit for edit in plain if edit.runs == 2 and edit.stop < n_layers]
        return plain + [
            Segment(block.start, block.stop, RUNS, anchor)
            for block in blocks
            for anchor in self.damping_anchors
        ]


@dataclass(frozen=True)
class Menu:
    """Programs for one model, the identity first, then by what each added to those before it.

    Attributes:
        programs: At least two.
        weights_id: `LayerStack.model_id` of the model.
        gains: Mean best utility on the questions of the race, with each program and those before
            it: the score, less the cost of layer passes beyond those of the identity; all right
            answers of a category count alike.
        oracle_coverage: Share of the other questions that this program or one before it answers
            right, judged with the gold answer; empty without other questions.
    """

    programs: tuple[Program, ...]
    weights_id: str
    gains: tuple[float, ...]
    oracle_coverage: tuple[float, ...] = ()

    def figures(self) -> dict[str, list[object]]:
        """Return programs, gains and coverage as plain data."""
        return {
            "programs": [str(program) for program in self.programs],
            "gains": [round(gain, 6) for gain in self.gains],
            "oracle_coverage": list(self.oracle_coverage),
        }

    def save(self, folder: Path) -> None:
        """Write `menu.json`."""
        data = {
            "n_layers": self.programs[0].n_layers,
            "weights_id": self.weights_id,
            **self.figures(),
        }
        write_json(folder / MENU_FILE, data)

    @classmethod
    def load(cls, folder: Path) -> Menu:
        """Read what `save` wrote.

        Raises:
            RunError: There is no menu, or it cannot be read.
        """
        path = folder / MENU_FILE
        if not path.exists():
            raise RunError(f"{folder} holds no menu: run 'skiploop menu build' with it first")
        try:
            data: dict[str, Any] = read_json(path)
            programs = [Program.parse(text, data["n_layers"]) for text in data["programs"]]
            gains, covered = tuple(data["gains"]), tuple(data["oracle_coverage"])
            return cls(tuple(programs), data["weights_id"], gains, covered)
        except (OSError, ValueError, KeyError, TypeError, ProgramError) as error:
            raise RunError(f"cannot read {path}: {one_line(error)}") from error


def build_menu(
    runner: TrialRunner,
    examples: Sequence[Example],
    config: MenuConfig,
    learned: Sequence[Program] = (),
) -> Menu:
    """Choose programs that complement each other, on some questions.

    All programs of one edit race, or the candidates, and those that were learned; the ones that
    complement each other best get further edits, and the menu is a greedy cover of what was seen:
    each program is the one that raises the mean best utility most, given those before it.

    Raises:
        ConfigError: No program may have an edit.
        ProgramError: A candidate is no program of the model.

    Cost:
        For the packaged model, 200 to 230 programs of one edit on a quarter of the questions, half
        of them on half, a quarter on all; then up to `PARENTS` x `PARENTS` programs for each
        further edit, raced in the same way.

    Source:
        Greedy cover: Nemhauser, Wolsey, Fisher 1978.
    """
    identity = Program.identity(runner.stack.n_layers)
    given = first_programs(config, identity.n_layers)
    first = list(dict.fromkeys((identity, *learned, *given)))
    if len(first) > config.size:
        seen = race(runner, examples, first, config.layer_cost)
    else:  # there is a place for each
        seen = collect(runner, examples, first)
    for _ in range(1, config.max_edits):
        best = [seen.programs[column] for column, _ in _cover(seen, PARENTS + 1, config.layer_cost)]
        children = _children(best)
        if new := [program for program in children if program not in seen.programs]:
            seen = seen.beside(race(runner, examples, [identity, *new], config.layer_cost))
    covered = list(_cover(seen, config.size, config.layer_cost))
    return Menu(
        programs=tuple(seen.programs[column] for column, _ in covered),
        weights_id=runner.stack.model_id,
        gains=tuple(gain for _, gain in covered),
    )


def first_programs(config: MenuConfig, n_layers: int) -> list[Program]:
    """Return the programs that race first: the candidates, or all of one edit.

    Raises:
        ConfigError: There is none.
    """
    if config.candidates:
        return [Program.parse(text, n_layers) for text in config.candidates]
    edits = config.edits(n_layers)
    if not edits:
        raise ConfigError(
            f"no layer may be edited: the model has {n_layers} layers, but the first "
            f"{config.first_layer} are kept; lower first_layer"
        )
    identity = Program.identity(n_layers)
    return [identity.with_edit(edit) for edit in edits] if config.max_edits else []


def race(
    runner: TrialRunner, examples: Sequence[Example], programs: Sequence[Program], layer_cost: float
) -> ScoreTable:
    """Return what the best programs answered, by successive halving.

    A program is as good as the mean of what it adds to the utility of the first one, question by
    question: one that helps a few questions much stays. Right answers of a category count alike, so
    preferring another one is no advantage (`balanced`). The first program always stays.
    """

    def added(asked: Sequence[Example], field: Sequence[Program]) -> np.ndarray:
        seen = collect(runner, asked, field)
        utility_QP = _utility(seen, layer_cost)
        return np.asarray(seen.weight_Q @ np.maximum(utility_QP - utility_QP[:, :1], 0))

    return collect(runner, examples, survivors(examples, programs, added))


def _children(parents: Sequence[Program]) -> list[Program]:
    """Return the programs that have the edits of two parents, one of which has a single one."""
    edited = [parent for parent in parents if not parent.is_identity]
    single = [parent.edits[0] for parent in edited if len(parent.edits) == 1]
    children: dict[Program, None] = {}
    for parent, edit in itertools.product(edited, single):
        with suppress(ProgramError):  # a layer would be edited twice
            children[parent.with_edit(edit)] = None
    return list(children)


def _utility(seen: ScoreTable, layer_cost: float) -> np.ndarray:
    """Return the score of each cell, less the cost of the passes beyond the identity's."""
    extra_P = [program.n_slots - program.n_layers for program in seen.programs]
    return seen.score_QP - layer_cost * np.array(extra_P)


def _cover(seen: ScoreTable, size: int, layer_cost: float) -> Iterator[tuple[int, float]]:
    """Yield columns, the first one first, and the mean best utility with each and those before."""
    share_Q = seen.weight_Q / len(seen.weight_Q)
    utility_QP = _utility(seen, layer_cost)
    best_Q = utility_QP[:, 0]
    yield 0, float(share_Q @ best_Q)
    chosen = {0}
    while len(chosen) < min(size, len(seen.programs)):
        means_P = share_Q @ np.maximum(utility_QP, best_Q[:, None])
        means_P[list(chosen)] = -np.inf
        column = int(means_P.argmax())
        chosen.add(column)
        best_Q = np.maximum(best_Q, utility_QP[:, column])
        yield column, float(share_Q @ best_Q)


def coverage(right_QP: np.ndarray) -> tuple[float, ...]:
    """Return the share of questions that the first program, the first two, ... answer right.

    It looks at the gold answer: an oracle, the most that any choice from the menu can reach.

    Returns:
        One share for each program; none without questions.
    """
    if not len(right_QP):
        return ()
    return tuple(map(float, np.maximum.accumulate(right_QP == 1, axis=1).mean(0)))
