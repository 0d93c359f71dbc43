"""The questions that the stages and methods of a run learn from."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.errors import DataError
from skiploop.menus.menu import MenuConfig
from skiploop.runs.folder import RunFolder
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import Example, Split

N_CHOOSING = 64
"""Questions on which programs for all prompts compete."""

N_CHECKING = 300
"""Questions on which the best one is judged, or another setting is chosen."""


def searched_examples(run: RunFolder) -> list[Example]:
    """Return the questions of the search of a run."""
    searched = run.section("search", SearchConfig)
    return run.task.examples(searched.split, searched.limit)


def menu_examples(run: RunFolder) -> list[Example]:
    """Return the questions that all programs on the menu of a run answered.

    Raises:
        RunError: There is no finished menu.
    """
    asked = run.finished("menu", MenuConfig)
    return run.task.examples(asked.split, asked.limit)


def choosing_examples(run: RunFolder) -> list[Example]:
    """Return training questions on which candidates compete: half of them, `N_CHOOSING` at most.

    Raises:
        DataError: The task has none.
    """
    found = _some(run, "train")
    return found[: min(N_CHOOSING, max(1, len(found) // 2))]


def checking_examples(run: RunFolder) -> list[Example]:
    """Return validation questions, `N_CHECKING` at most.

    Raises:
        DataError: The task has none.
    """
    return _some(run, "validation")[:N_CHECKING]


def unseen_examples(run: RunFolder, learned: Sequence[Example]) -> list[Example]:
    """Return validation questions that are like some others, `N_CHECKING` at most, or none.

    Args:
        run: The run folder.
        learned: Theirs are the categories; they and what is one with them are left out.
    """
    groups = {example.group for example in learned}
    categories = {example.category for example in learned}
    found = [
        example
        for example in run.task.examples("validation")
        if example.category in categories and example.group not in groups
    ]
    return found[:N_CHECKING]


def _some(run: RunFolder, split: Split) -> list[Example]:
    found = run.task.examples(split)
    if not found:
        raise DataError(
            f"{run.task.name} has no questions in {split!r}, which such a method chooses by: use "
            "another task, or a method that needs none"
        )
    return found


def learned_from(run: RunFolder) -> list[Example]:
    """Return all questions that a stage or a method of a run may have looked at."""
    splits = {"train", "validation"}
    if run.has("menu"):
        splits.add(run.section("menu", MenuConfig).split)
    if run.has("search"):
        splits.add(run.section("search", SearchConfig).split)
    return [example for split in sorted(splits) for example in run.task.examples(split)]
