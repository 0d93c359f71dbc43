"""What stands behind the numbers of a report: every question with all that was answered to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from skiploop.evaluation.records import Record
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.store import Trial


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question and its answers.

    Attributes:
        example: The question.
        prompt: What the model was given.
        answers: By policy, what it would say; none where no policy was judged.
        trials: What single programs said.
    """

    example: Example
    prompt: str
    answers: Mapping[str, Record] = field(default_factory=dict)
    trials: Sequence[Trial] = ()


@dataclass(frozen=True)
class Step:
    """One step of a search.

    Attributes:
        trial: What was tried.
        walk: The programs from the identity to that of the trial, of which some trees leave out
            those that they did not try.
    """

    trial: Trial
    walk: Sequence[Program]


@dataclass(frozen=True)
class Grown:
    """The search of one question.

    Attributes:
        example: The question.
        steps: In their order, the identity first.
    """

    example: Example
    steps: Sequence[Step]


@dataclass(frozen=True, kw_only=True)
class Details:
    """All questions of a report.

    Attributes:
        judged: Those on which the policies were judged.
        of_menu: Those that every program on the menu answered, its trials in the menu's order.
        searches: Some of those that were searched.
        elsewhere: By the title of another report, what was learned here does to other questions:
            its rows of policies, as in `report.json`.
    """

    judged: Sequence[Asked] = ()
    of_menu: Sequence[Asked] = ()
    searches: Sequence[Grown] = ()
    elsewhere: Mapping[str, object] = field(default_factory=dict)
