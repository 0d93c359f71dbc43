"""The searches by name: how each makes the searcher of a question.

Shapes: E single edits; S questions, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from skiploop.errors import DataError
from skiploop.programs.program import Program
from skiploop.programs.scales import scales_of, shuffled_scales
from skiploop.programs.space import ProgramSpace
from skiploop.search.bayesian import BayesianSearch
from skiploop.search.belief import prior
from skiploop.search.first_order import first_order_gains
from skiploop.search.gradient import GradientSearch
from skiploop.search.protocol import Searcher
from skiploop.search.released import MAX_BLOCK, MAX_RUNS, ReleasedTree
from skiploop.search.tree import Tree, TreeRules
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.slopes import right_answer, slopes

if TYPE_CHECKING:
    from skiploop.search.campaign import SearchConfig

BAYESIAN = "bayesian"
GRADIENT = "gradient"
TREE = "tree"
POLAR_RELEASED = "polar-released"

LONGEST_LOOP = 2
"""Layers of the longest loops whose gains gradients tell: those of longer ones take 7 of 13 passes,
and searches find as much without them."""

Make = Callable[[TrialRunner, Example, "SearchConfig", int], Searcher]
"""From runner, question, settings and seed to the search for the question."""

Grow = Callable[["SearchConfig", int, int], Tree | ReleasedTree]
"""From settings, layers and seed to the same search, where it needs no model."""

Slopes = Callable[[TrialRunner, Sequence[tuple[Example, Program]]], list[tuple[float, ...]]]
"""From pairs of a question and a program to what `Outcome.slopes` holds."""

RandomLike = Callable[[ProgramSpace, Program, int], Program]
"""From a program and a seed to a random one that chance control compares with it."""


def _as_many_edits(space: ProgramSpace, program: Program, seed: int) -> Program:
    return space.sample(seed, n_edits=space.n_edits(program))


def _same_scales(_: ProgramSpace, program: Program, seed: int) -> Program:
    return shuffled_scales(program, seed)


@dataclass(frozen=True)
class Method:
    """A search.

    Attributes:
        make: Makes the searcher of one question.
        grow: Makes its tree without a model; None if it is no tree.
        at_once: Programs that a question is asked for together.
        scores_gold: Whether it needs the log-probability of right answers.
        slopes: How it is told of them, where it needs them of wrong answers.
        random_like: Draws the programs of its chance control.
        fixed: Settings that it has no choice of, with their values.
    """

    make: Make
    grow: Grow | None = None
    at_once: int = 1
    scores_gold: bool = False
    slopes: Slopes | None = None
    random_like: RandomLike = _as_many_edits
    fixed: Mapping[str, object] = field(default_factory=dict)


def _bayesian(runner: TrialRunner, example: Example, config: SearchConfig, _: int) -> Searcher:
    space = config.space(runner.stack.n_layers)
    return BayesianSearch(space, prior(space.single_edits, _effects(runner, example, space)))


def _effects(runner: TrialRunner, example: Example, space: ProgramSpace) -> np.ndarray:
    """Return the gains of all single edits to first order.

    Zeros stand for those of longer loops, and for all where no right answer is known.
    """
    effects_E = np.zeros(len(space.single_edits))
    answer = right_answer(runner.task, example)
    if answer is None:
        return effects_E
    prompt = runner.prompt(example)
    is_cheap_E = [not edit.runs or len(edit) <= LONGEST_LOOP for edit in space.single_edits]
    cheap = list(compress(space.single_edits, is_cheap_E))
    effects_E[is_cheap_E] = first_order_gains(runner.stack, prompt, answer, cheap)
    # A search that goes on must find the same numbers again; on a GPU their last digits change.
    return np.asarray(np.nan_to_num(effects_E, posinf=0, neginf=0).round(2))


def _gradient(runner: TrialRunner, example: Example, _config: SearchConfig, _: int) -> Searcher:
    if right_answer(runner.task, example) is None:
        raise DataError(
            f"{runner.task.name} does not know how the right answer of {example.id} is written, "
            f"whose log-probability {GRADIENT} follows: search with the method {BAYESIAN}"
        )
    return GradientSearch(runner.stack.n_layers)


def _slopes(
    runner: TrialRunner, asked: Sequence[tuple[Example, Program]]
) -> list[tuple[float, ...]]:
    prompts = [runner.prompt(example) for example, _ in asked]
    answers = [right_answer(runner.task, example) or "" for example, _ in asked]
    scales_SL = np.array([scales_of(program) for _, program in asked])
    found = slopes(runner.stack, prompts, answers, scales_SL)
    found_SL = np.nan_to_num(found.slope_SL, posinf=0, neginf=0)
    # A search that goes on must find the same numbers again; on a GPU their last digits change.
    return [tuple(slopes_L) for slopes_L in found_SL.round(2).tolist()]


def _tree(config: SearchConfig, n_layers: int, seed: int) -> Tree:
    return Tree(config.space(n_layers), seed, config)


def _released(config: SearchConfig, n_layers: int, _: int) -> ReleasedTree:
    return ReleasedTree(n_layers, config.budget)


def _of_tree(grow: Grow, fixed: Mapping[str, object] = MappingProxyType({})) -> Method:
    def make(runner: TrialRunner, _: Example, config: SearchConfig, seed: int) -> Searcher:
        return grow(config, runner.stack.n_layers, seed)

    return Method(make, grow=grow, fixed=fixed)


_TREE_RULES = vars(TreeRules())

METHODS: Mapping[str, Method] = {
    BAYESIAN: Method(_bayesian, at_once=8, scores_gold=True, fixed={**_TREE_RULES, "max_runs": 2}),
    GRADIENT: Method(
        _gradient,
        scores_gold=True,
        slopes=_slopes,
        random_like=_same_scales,
        fixed={**_TREE_RULES, "max_block": 4, "max_runs": 2},
    ),
    TREE: _of_tree(_tree),
    POLAR_RELEASED: _of_tree(
        _released, {**_TREE_RULES, "max_block": MAX_BLOCK, "max_runs": MAX_RUNS}
    ),
}
