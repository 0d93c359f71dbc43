"""Policies made from the table of a run's menu, which is read once for all of them.

The table holds what every program on the menu answered to every question that was learned from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from torch import Tensor

from skiploop.errors import ConfigError
from skiploop.menus.menu import Menu, MenuConfig
from skiploop.policies.by_category import CategoryPolicy, best_by_category
from skiploop.policies.random_edits import random_programs
from skiploop.policies.selector.choice import PromptFeatures
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import SelectorPolicy, learn
from skiploop.policies.selector.surface import SurfaceText
from skiploop.runs.questions import menu_examples, unseen_examples
from skiploop.runs.session import Run
from skiploop.seeds import derive_seed
from skiploop.tasks.base import SPLITS, Example, Task
from skiploop.trials.progress import Progress
from skiploop.trials.score_table import ScoreTable, collect


class TablePolicies:
    """Makes controls of a selector, and the best program for each category of question.

    Args:
        run: With a finished menu, for controls also a selector.
        progress: Told about trials that are missing.
        others: Tasks beside the run's own whose questions will be asked.
    """

    def __init__(self, run: Run, progress: Progress | None, others: Sequence[Task] = ()) -> None:
        self._run = run
        self._progress = progress
        self._others = others

    @cached_property
    def whole(self) -> ScoreTable:
        """The table: every program of the menu on every question that was learned from."""
        runner, programs = self._run.runner(self._progress), Menu.load(self._run.folder).programs
        return collect(runner, menu_examples(self._run), programs)

    @cached_property
    def shuffled(self) -> SelectorPolicy:
        """Learned as the selector is, but from answers that belong to other questions."""
        table = self.whole
        rng = np.random.default_rng(derive_seed(self._learning.seed, "shuffled"))
        n_others = len(table.example_ids) - self._n_raced
        raced, others = rng.permutation(self._n_raced), rng.permutation(n_others)
        order = np.concatenate([raced, self._n_raced + others])
        wrong = replace(
            table,
            right_QP=table.right_QP[order],
            score_QP=table.score_QP[order],
            weight_Q=table.weight_Q[order],
            answers=tuple(table.answers[i] for i in order),
            is_lost=tuple(table.is_lost[i] for i in order),
        )
        return self._learned_from_states(wrong, "shuffled", self._n_raced)

    def by_category(self) -> CategoryPolicy:
        """Return the policy that gives each category its best program.

        Raises:
            ConfigError: The task tells no categories.
        """
        examples = menu_examples(self._run)
        if len({example.category for example in examples}) == 1:
            raise ConfigError(
                f"by-category: all questions of {self._run.task.name} are of one category, for "
                "which the best program is what 'static' finds: leave it out, or use questions "
                "with categories (a 'category' on every line of a jsonl file)"
            )
        category_of = {prompt: example.category for prompt, example in self._example_of.items()}
        return CategoryPolicy(best_by_category(examples, self.whole), category_of)

    def surface(self) -> SelectorPolicy:
        """Learn as the selector does, from the spelling of the prompts instead of states."""
        task = self._run.task
        features = PromptFeatures(SurfaceText(self._example_of))
        learned = menu_examples(self._run)
        known_QF, unseen_UF = (
            features.of([task.prompt(example) for example in some])
            for some in (learned, unseen_examples(self._run, learned))
        )
        return self._learned(features, known_QF, unseen_UF, self.whole, "surface", self._n_raced)

    def random_menu(self) -> SelectorPolicy:
        """Learn as the selector does, on a menu of the same edits at random places."""
        policy = self._run.selector
        asked = self._run.finished("menu", MenuConfig)
        edits = asked.edits(self._run.stack.n_layers)
        seed = self._learning.seed
        programs = random_programs(policy.menu.programs, edits, asked.max_block, seed)
        runner = self._run.runner(self._progress)
        table = collect(runner, menu_examples(self._run), programs)
        return self._learned_from_states(table, "random-menu", n_raced=0)

    @cached_property
    def _example_of(self) -> dict[str, Example]:
        """The question of every prompt that may be asked."""
        return {
            task.prompt(example): example
            for task in dict.fromkeys((self._run.task, *self._others))
            for split in SPLITS
            for example in task.examples(split)
        }

    @property
    def _learning(self) -> SelectorConfig:
        return self._run.finished("selector", SelectorConfig)

    @property
    def _n_raced(self) -> int:
        return self._run.finished("menu", MenuConfig).race_questions

    def _learned_from_states(self, table: ScoreTable, name: str, n_raced: int) -> SelectorPolicy:
        """Return what learns from a table and from what the run's selector sees of prompts."""
        policy = self._run.selector
        known_QF, unseen_UF = policy.data.features_QF, policy.data.unseen_UF
        return self._learned(policy.features, known_QF, unseen_UF, table, name, n_raced)

    def _learned(
        self,
        features: PromptFeatures,
        known_QF: Tensor,
        unseen_UF: Tensor,
        table: ScoreTable,
        name: str,
        n_raced: int,
    ) -> SelectorPolicy:
        """Return what learns from a table as the run's selector does."""
        policy = self._run.selector
        group_Q = policy.data.group_Q
        data = learn(known_QF, table, self._learning, group_Q, n_raced, unseen_UF)
        menu = replace(policy.menu, programs=table.programs)
        return SelectorPolicy(menu, features, data, name)
