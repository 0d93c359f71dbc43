"""What every search of one question is: programs that are asked for, and outcomes that are told.

A searcher runs no model for that, reads no clock and draws from its own seeded generator, so the
same outcomes always give the same search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from skiploop.programs.program import Program


@dataclass(frozen=True)
class Outcome:
    """What is known of a program on one question. What it costs, `Program.n_slots` says.

    Attributes:
        correct: The verdict; None if the answer could not be graded.
        gold_logprob: Log-probability of the right answer; None where nobody knows it.
        slopes: What that gains for each unit that the scale of a layer grows, a layer each; None
            where nobody asked for them.
    """

    correct: bool | None
    gold_logprob: float | None = None
    slopes: tuple[float, ...] | None = None


class Searcher(Protocol):
    """The search for one question."""

    def ask(self, n: int) -> list[Program]:
        """Propose the next programs to evaluate, the identity first, none of them twice.

        Args:
            n: How many at most. There may be fewer, and none at the end.
        """

    def tell(self, program: Program, outcome: Outcome) -> None:
        """Report what came out of a proposed program.

        Raises:
            ProgramError: It was not asked for or was told already.
        """
