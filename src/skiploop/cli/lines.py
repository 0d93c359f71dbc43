"""How far the work is, told in lines where there is no terminal for a bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from skiploop.report.words import duration

if TYPE_CHECKING:
    from rich.progress import TaskID

FIRST_S, LONGEST_S = 5.0, 600.0
"""Seconds until the first line, and between two lines at most; each wait is twice the last one."""


@dataclass
class _Task:
    """Work that is counted.

    Attributes:
        name: What is being done.
        total: What is expected in all, if known.
        completed: What is done.
        facts: What was found so far.
        wait_s: Seconds between the last line and the next.
        since: When the last line was told, or the first of the work was done; None before that.
        before: What was done then.
    """

    name: str
    total: int | None
    completed: float
    facts: str
    wait_s: float
    since: float | None = None
    before: float = 0


class ProgressLines:
    """Counts work as rich's `Progress` does, and says now and then how far it is."""

    def __init__(
        self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._clock = clock
        self._tasks: list[_Task] = []

    def add_task(self, name: str, *, total: int | None, facts: str) -> TaskID:
        """Return the number of a new task, by which it is updated."""
        self._tasks.append(_Task(name, total, 0, facts, FIRST_S))
        return cast("TaskID", len(self._tasks) - 1)

    def update(
        self,
        task: TaskID,
        *,
        total: int | None = None,
        completed: float | None = None,
        facts: str | None = None,
    ) -> None:
        """Note what is known of a task now, and say it if the last line is long ago."""
        one, now = self._tasks[task], self._clock()
        if total is not None:
            one.total, one.since = total, None
        one.completed = one.completed if completed is None else completed
        one.facts = one.facts if facts is None else facts
        if one.since is None:
            if completed:  # after starting up, and what was stored before is told first
                one.since, one.before = now, completed
            return
        spent = now - one.since
        if spent < one.wait_s or one.completed == one.before:
            return
        self._say(_line(one, (one.completed - one.before) / spent))
        one.wait_s = min(2 * one.wait_s, LONGEST_S)
        one.since, one.before = now, one.completed


def _line(task: _Task, rate: float) -> str:
    """Return how far a task is, and how long it will take."""
    done = f"{task.name}: {task.completed:,.0f}"
    if task.total:
        left = duration(max(0, task.total - task.completed) / rate)
        done += f" of {task.total:,}, about {left} to go"
    return f"{done} ({task.facts})" if task.facts else done
