"""The questions that the stages of a run learned from."""

from __future__ import annotations

from skiploop.menus.menu import MenuConfig
from skiploop.runs.folder import RunFolder
from skiploop.search.campaign import SearchConfig
from skiploop.tasks.base import Example


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
