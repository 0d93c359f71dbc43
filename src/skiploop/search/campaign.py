"""Many searches, one per question, against one runner.

Each round takes one proposal from every tree and evaluates them as one batch. What the trial store
already knows costs nothing, so a search that was interrupted goes on where it stopped: the trees
grow again, in the same way, from the recorded verdicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

from skiploop.config import AtMost
from skiploop.engine.cache.states import StateCache
from skiploop.errors import ConfigError
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.search.released import MAX_BLOCK, MAX_RUNS, ReleasedTree
from skiploop.search.tree import Tree, TreeRules
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

WIDENING = "widening"
POLAR_RELEASED = "polar-released"


class Searcher(Protocol):
    """The search for one question."""

    def ask(self) -> Program | None:
        """Propose the next program to evaluate, the identity first; None if there is none."""

    def tell(self, program: Program, reward: float | None) -> None:
        """Report its reward, 0..1, None if the answer could not be graded."""

    def walk_to(self, program: Program) -> list[Program]:
        """Return the way from the identity to a program that is not told yet."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig(TreeRules):
    """What one search tries; the constants of its trees are those of `TreeRules`.

    Attributes:
        limit: Questions, the first ones of the split; by default all where there are fewer.
        budget: Programs evaluated per question, the identity not counted; walks under
            `polar-released`, some of which propose nothing.
        split: Part of the task that is searched.
        max_block: Longest block that one edit skips or repeats.
        max_runs: Most passes over one block.
        rules: How the trees grow: `widening`, with the constants above, or `polar-released`, with
            those of the released code of PoLar.

    Raises:
        ConfigError: A number is out of range, there are no such rules, or rules that have constants
            of their own are given others.
    """

    limit: int = AtMost(100)
    budget: int = 200
    split: str = "train"
    max_block: int = 4
    max_runs: int = 2
    rules: str = WIDENING

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rules not in (WIDENING, POLAR_RELEASED):
            raise ConfigError(
                f"unknown rules {self.rules!r}: expected {WIDENING} or {POLAR_RELEASED}"
            )
        given = {one.name: vars(self)[one.name] for one in fields(TreeRules)}
        given |= {"max_block": self.max_block, "max_runs": self.max_runs}
        fixed = {**vars(TreeRules()), "max_block": MAX_BLOCK, "max_runs": MAX_RUNS}
        if self.rules == POLAR_RELEASED and given != fixed:
            others = ", ".join(name for name in given if given[name] != fixed[name])
            raise ConfigError(
                f"{POLAR_RELEASED} has constants of its own: leave out {others}, or the rules"
            )
        numbers = (self.limit, self.budget, self.max_block, self.max_runs)
        if min(numbers) < 1:
            raise ConfigError(
                f"limit, budget, max_block and max_runs are {numbers}: give at least 1 each"
            )

    def fitted(self, n_questions: int) -> SearchConfig:
        """Return the settings for so many questions."""
        return replace(self, limit=n_questions)

    @property
    def n_trials(self) -> int:
        """Pairs that a search and its control evaluate at most."""
        return self.limit * (2 * self.budget + 1)

    def space(self, n_layers: int) -> ProgramSpace:
        """Return the programs that the search may propose."""
        return ProgramSpace(n_layers, max_block=self.max_block, max_runs=self.max_runs)

    def searcher(self, n_layers: int, seed: int) -> Searcher:
        """Return the search for one question; released rules have one seed for all."""
        if self.rules == POLAR_RELEASED:
            return ReleasedTree(n_layers, self.budget)
        return Tree(self.space(n_layers), seed, self)

    def searcher_of(self, example: Example, n_layers: int, seed: int) -> Searcher:
        """Return the search for a question in a run with a seed of its own."""
        return self.searcher(n_layers, derive_seed(seed, "search", example.id))


class Campaign:
    """The searches over some questions, and their chance control.

    Args:
        runner: Evaluates pairs and remembers them.
        examples: Questions.
        config: What to try.
        seed: Seed of the run; each question derives its own from it.
    """

    def __init__(
        self, runner: TrialRunner, examples: Sequence[Example], config: SearchConfig, seed: int
    ) -> None:
        self.runner = runner
        self.examples = list(examples)
        self.config = config
        self.seed = seed
        self.space = config.space(runner.stack.n_layers)

    def search(self) -> None:
        """Search every question: the identity, then `budget` further programs.

        Guarantees:
            Interrupted and continued, it records what an uninterrupted one records, in float32
            (tests/model/test_campaign.py).

        Cost:
            `budget + 1` verdicts per question, each from the first layer that is new.
        """
        trees = [
            self.config.searcher_of(example, self.space.n_layers, self.seed)
            for example in self.examples
        ]
        # Programs of one question start with the same layers, from one step to the next.
        saved = StateCache(self.runner.stack.memory * 3 // 4, self.runner.stack.tuning)
        for step in range(self.config.budget + 1):
            asks = [
                (tree, example, program)
                for tree, example in zip(trees, self.examples, strict=True)
                if (program := tree.ask())
            ]
            pairs = [(example, program) for _, example, program in asks]
            trials = self.runner.grade_pairs(pairs, saved)
            self.runner.store.add_asks("search", [(e.id, step, p) for _, e, p in asks])
            for (tree, _, program), trial in zip(asks, trials, strict=True):
                tree.tell(program, None if trial.correct is None else float(trial.correct))

    def control(self) -> None:
        """Evaluate the chance control: as many random programs per question as were searched.

        The program at each step is drawn uniformly among those made by as many edits as the
        program that the search tried at that step, and differs from those drawn before. So both
        sides try programs of the same complexity, and only the guidance differs.

        Cost:
            `budget` runs of the model per question.
        """
        searched = self.runner.store.asked("search", self.space.n_layers)
        asks = [
            (example, step, program)
            for example in self.examples
            for step, program in enumerate(self._random_programs(example, searched[example.id]), 1)
        ]
        self.runner.grade_pairs([(example, program) for example, _, program in asks])
        self.runner.store.add_asks("random", [(e.id, step, p) for e, step, p in asks])

    def _random_programs(self, example: Example, searched: Sequence[Trial]) -> list[Program]:
        programs = {Program.identity(self.space.n_layers): None}
        for step, trial in enumerate(searched[1:], start=1):
            n_edits = self.space.n_edits(trial.program)
            for attempt in range(_ATTEMPTS):
                seed = derive_seed(self.seed, "random", example.id, step, attempt)
                program = self.space.sample(seed, n_edits=n_edits)
                if program not in programs:
                    programs[program] = None
                    break
        return list(programs)[1:]


_ATTEMPTS = 100
"""Draws after which a control goes without: a tiny space may hold no other program."""
