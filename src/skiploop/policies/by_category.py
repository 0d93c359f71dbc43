"""The best single program for each category of question, where the categories are given.

What a choice that has to find out the category by itself is compared with.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from skiploop.arguments import shown, texts, whole_number
from skiploop.errors import ConfigError, DataError
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.score_table import ScoreTable

_log = logging.getLogger("skiploop")


class CategoryPolicy:
    """Gives every prompt the program that was best on training questions of its category."""

    name = "by-category"

    def __init__(self, programs: Mapping[str, Program], category_of: Mapping[str, str]) -> None:
        self.programs = programs
        self.category_of = category_of

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return one program a prompt, whatever `k` is from 1 on.

        Raises:
            DataError: The category of a prompt is not known, or no program for it.
        """
        whole_number("k", k, at_least=1, error=ConfigError)
        prompts = texts("prompts", prompts)
        known = self.programs.keys()
        unknown = [prompt for prompt in prompts if self.category_of.get(prompt) not in known]
        if unknown:
            raise DataError(
                f"{self.name} has no program for the prompt {shown(unknown[0])}, whose category "
                "nobody told it: ask it the questions that it was made for"
            )
        return [[self.programs[self.category_of[prompt]]] for prompt in prompts]


def best_by_category(examples: Sequence[Example], table: ScoreTable) -> dict[str, Program]:
    """Return the program with most right answers to the questions of each category.

    Args:
        examples: The questions of the table.
        table: The first program is the identity.
    """
    categories = np.array([example.category for example in examples])
    best = {}
    for category in dict.fromkeys(categories):
        right_QP = table.right_QP[categories == category] == 1
        column = int(right_QP.mean(0).argmax())
        best[str(category)] = table.programs[column]
    return best


def check_categories(
    learned_from: Sequence[Example], asked: Sequence[Example], names: Sequence[str]
) -> None:
    """Refuse questions of a category that nothing was learned about, where categories choose.

    Of other policies it is said: they choose by the question, and may know too few of its sort.

    Args:
        learned_from: What the policies learned from.
        asked: What they will be asked.
        names: Of the policies.
    """
    known = {example.category for example in learned_from}
    unknown = [example for example in asked if example.category not in known]
    if not unknown:
        return
    found = (
        f"{len(unknown)} of {len(asked)} questions are of categories that never occurred among "
        f"the {len(learned_from)} questions learned from, such as {unknown[0].category!r}"
    )
    if CategoryPolicy.name in names:
        raise DataError(
            f"{found}: leave out {CategoryPolicy.name}, make the menu with a larger --limit, or "
            "judge on other questions"
        )
    _log.info("%s", found)
