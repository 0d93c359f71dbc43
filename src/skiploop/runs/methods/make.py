"""From names of the registry to methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pkgutil import resolve_name

from skiploop.policies.base import Method, Policy, Ranked
from skiploop.runs.from_table import TablePolicies
from skiploop.runs.policies import find
from skiploop.runs.session import Run
from skiploop.tasks.base import Task
from skiploop.trials.progress import Progress


@dataclass(frozen=True)
class Asked:
    """What a method is made from.

    Attributes:
        name: Its name in tables.
        argument: What the name has after the colon.
        run: Holds what it needs.
        progress: Told about trials that it needs.
        table: Of the run's menu, shared by all methods that are made together.
        k: Programs that a policy ranks.
    """

    name: str
    argument: str
    run: Run
    progress: Progress | None
    table: TablePolicies
    k: int


def make_methods(
    names: Sequence[str],
    run: Run,
    progress: Progress | None = None,
    k: int = 1,
    others: Sequence[Task] = (),
) -> list[Method]:
    """Return the methods of some checked names; see `each_method`."""
    return list(each_method(names, run, progress, k, others))


def each_method(
    names: Sequence[str],
    run: Run,
    progress: Progress | None = None,
    k: int = 1,
    others: Sequence[Task] = (),
) -> Iterator[Method]:
    """Yield the methods of some checked names, each made when it is asked for.

    Args:
        names: From `checked_name`.
        run: Holds what they need.
        progress: Told about trials that they need.
        k: Programs that run of each policy; votes and samples have numbers of their own.
        others: Tasks beside the run's own whose questions they will answer.

    Raises:
        RunError: The run does not hold what one of them needs.
        ConfigError: One of them makes no sense for its questions.
    """
    table = TablePolicies(run, progress, others)
    for name in names:
        entry, argument = find(name)
        make: Callable[[Asked], Method] = resolve_name(entry.maker)
        yield make(Asked(name, argument, run, progress, table, k))


def ranked(make: Callable[[Asked], Policy]) -> Callable[[Asked], Method]:
    """Turn what makes a policy into what makes the method of its best programs."""

    @wraps(make)
    def method(asked: Asked) -> Method:
        return Ranked(make(asked), asked.k)

    return method
