"""Anything that chooses programs for prompts, and the two simplest ways to choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from skiploop.program import Program


class Policy(Protocol):
    """Chooses programs for prompts without looking at answers.

    Attributes:
        name: Unique within one table.
    """

    name: str

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return at most `k` different programs a prompt, the best first, never none."""


class FixedPolicy:
    """Gives every prompt the same programs.

    Args:
        programs: The best first.
        name: Name in tables.
    """

    def __init__(self, programs: Sequence[Program], name: str) -> None:
        self.programs = list(programs)
        self.name = name

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the first `k` programs, for every prompt."""
        return [self.programs[:k] for _ in prompts]


class IdentityPolicy(FixedPolicy):
    """Gives every prompt the plain model."""

    def __init__(self, n_layers: int) -> None:
        super().__init__([Program.identity(n_layers)], name="identity")
