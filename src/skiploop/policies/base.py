"""Anything that chooses programs for prompts, and the two simplest ways to choose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from skiploop.arguments import instance, listed, texts, whole_number
from skiploop.errors import ConfigError, ProgramError
from skiploop.programs.program import Program


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

    Raises:
        ProgramError: There is none, or one is no program.
    """

    def __init__(self, programs: Sequence[Program], name: str) -> None:
        self.programs = [
            instance("programs", one, Program, expected="Programs", error=ProgramError)
            for one in listed("programs", programs, of="programs", error=ProgramError)
        ]
        if not self.programs:
            raise ProgramError(f"policy {name} has no programs: give at least one")
        self.name = name

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return the first `k` programs, for every prompt."""
        k = whole_number("k", k, at_least=1, error=ConfigError)
        return [self.programs[:k] for _ in texts("prompts", prompts)]


class IdentityPolicy(FixedPolicy):
    """Gives every prompt the plain model."""

    def __init__(self, n_layers: int) -> None:
        super().__init__([Program.identity(n_layers)], name="identity")
