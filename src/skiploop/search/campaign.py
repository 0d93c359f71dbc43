"""Many searches, one per question, against one runner.

Each round takes a few proposals from every search and evaluates them as one batch. What the trial
store already knows costs nothing, so a search that was interrupted goes on where it stopped: it is
made again, in the same way, from the recorded outcomes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from skiploop.config import AtMost, renamed, under_new_names
from skiploop.engine.cache.states import StateCache
from skiploop.errors import ConfigError, closest
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace
from skiploop.search.methods import BAYESIAN, METHODS, POLAR_RELEASED, TREE, Slopes
from skiploop.search.protocol import Outcome
from skiploop.search.released import SIMULATIONS
from skiploop.search.tree import TreeRules
from skiploop.seeds import derive_seed
from skiploop.tasks.base import Example
from skiploop.trials.runner import TrialRunner
from skiploop.trials.store import Trial

_OLD_NAMES = {"widening": TREE}
"""Methods as they were called in the last version: still read, in no help text."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig(TreeRules):
    """What one search tries; the constants of a `tree` are those of `TreeRules`.

    Attributes:
        limit: Questions, the first ones of the split; by default all where there are fewer.
        budget: Programs evaluated per question, the identity not counted; walks under
            `polar-released`, some of which propose nothing.
        split: Part of the task that is searched.
        max_block: Longest block that one edit skips or repeats.
        max_runs: Most passes over one block.
        method: What proposes programs: `bayesian`, which expects the gains of edits to add up;
            `gradient`, which scales layers; `tree`, the published tree search; or
            `polar-released`, that of PoLar's released code.

    Raises:
        ConfigError: A number is out of range, there is no such method, or a setting is given that
            it has no choice of.
    """

    limit: int = AtMost(100)
    budget: int = 200
    split: str = "train"
    max_block: int = 4
    max_runs: int = 2
    method: str = renamed("rules", BAYESIAN)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "method", _OLD_NAMES.get(self.method, self.method))
        if self.method not in METHODS:
            hint = closest(self.method, METHODS)
            raise ConfigError(f"unknown method {self.method!r}: {hint}Known: {', '.join(METHODS)}")
        fixed = METHODS[self.method].fixed
        if others := [name for name, value in fixed.items() if vars(self)[name] != value]:
            raise ConfigError(
                f"{self.method} has no choice of {', '.join(others)}: leave that out, or search "
                f"with the method {TREE}"
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


def with_usual_budget(given: Mapping[str, object]) -> dict[str, object]:
    """Return settings of a search, with the released number of walks where nobody says another."""
    found = under_new_names(SearchConfig, given, "search")
    if found.get("method") == POLAR_RELEASED:
        found.setdefault("budget", SIMULATIONS)
    return found


def seed_of(seed: int, example: Example) -> int:
    """Return the seed of the search for a question in a run with a seed of its own."""
    return derive_seed(seed, "search", example.id)


def told_of(
    slopes_of: Slopes | None,
    runner: TrialRunner,
    pairs: Sequence[tuple[Example, Program]],
    trials: Sequence[Trial],
) -> list[Outcome]:
    """Return what searches are told of the trials of some pairs, given their method's slopes."""
    outcomes = [Outcome(trial.correct, trial.gold_logprob) for trial in trials]
    wrong = [number for number, trial in enumerate(trials) if not trial.correct]
    if slopes_of is None or not wrong:
        return outcomes
    slopes_of_wrong = slopes_of(runner, [pairs[number] for number in wrong])
    for number, slopes in zip(wrong, slopes_of_wrong, strict=True):
        outcomes[number] = replace(outcomes[number], slopes=slopes)
    return outcomes


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
            `budget + 1` verdicts per question, each from the first layer that is new; before that,
            with the method `bayesian`, about 6 passes of the model over prompt and answer. With
            `gradient` every wrong answer costs 3 of these, also of those that the store knows.
        """
        method, store = METHODS[self.config.method], self.runner.store
        searchers = [
            method.make(self.runner, example, self.config, seed_of(self.seed, example))
            for example in self.examples
        ]
        n_asked = [0] * len(searchers)
        # Programs of one question start with the same layers, from one round to the next.
        saved = StateCache(self.runner.stack.memory * 3 // 4, self.runner.stack.tuning)
        while asks := [
            (number, step, program)
            for number, searcher in enumerate(searchers)
            for step, program in enumerate(
                searcher.ask(min(method.at_once, self.config.budget + 1 - n_asked[number])),
                start=n_asked[number],
            )
        ]:
            pairs = [(self.examples[number], program) for number, _, program in asks]
            trials = self.runner.grade_pairs(pairs, saved, score_gold=method.scores_gold)
            store.add_asks(
                "search",
                [(self.examples[number].id, step, program) for number, step, program in asks],
            )
            outcomes = told_of(method.slopes, self.runner, pairs, trials)
            for (number, _, program), outcome in zip(asks, outcomes, strict=True):
                n_asked[number] += 1
                searchers[number].tell(program, outcome)

    def control(self) -> None:
        """Evaluate the chance control: as many random programs per question as were searched.

        The program at each step is drawn uniformly among those made by as many edits as the
        program that the search tried at that step, or with the same scales at other layers, and
        differs from those drawn before. So both sides try programs of the same complexity, and
        only the guidance differs.

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
        random_like = METHODS[self.config.method].random_like
        programs = {Program.identity(self.space.n_layers): None}
        for step, trial in enumerate(searched[1:], start=1):
            for attempt in range(_ATTEMPTS):
                seed = derive_seed(self.seed, "random", example.id, step, attempt)
                program = random_like(self.space, trial.program, seed)
                if program not in programs:
                    programs[program] = None
                    break
        return list(programs)[1:]


_ATTEMPTS = 100
"""Draws after which a control goes without: a tiny space may hold no other program."""
