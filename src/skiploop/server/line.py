"""Who is next: in the order of arrival, but small requests may pass a large one for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

PATIENCE = 16
"""How often a request that does not fit is passed before nobody passes it any more."""


class Waiting(Protocol):
    """What stands in the line.

    Attributes:
        n_tokens: Of its prompt.
        n_passed: How often others were let in before it although they came later.
    """

    @property
    def n_tokens(self) -> int:
        """See above."""

    n_passed: int


_Waiting = TypeVar("_Waiting", bound=Waiting)


class Line(Generic[_Waiting]):
    """Requests that wait for room.

    Guarantees:
        Whoever fits into an empty batch is let in at last (tests/unit/test_line.py).
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[_Waiting]:
        return iter(self._waiting)

    def add(self, one: _Waiting) -> None:
        """Let somebody stand at the end."""
        self._waiting.append(one)

    def leave(self, is_gone: Callable[[_Waiting], bool]) -> list[_Waiting]:
        """Let go, and return, all of whom something is true."""
        gone = [one for one in self._waiting if is_gone(one)]
        if gone:
            self._waiting = [one for one in self._waiting if one not in gone]
        return gone

    def take(
        self, fits: Callable[[Sequence[_Waiting]], bool], most: int, most_tokens: int
    ) -> list[_Waiting]:
        """Let in, and return, those who are next.

        Args:
            fits: Whether there is room for some of them together.
            most: How many there may be.
            most_tokens: Of their prompts together; a single one may be longer.
        """
        taken: list[_Waiting] = []
        passed: list[_Waiting] = []
        n_tokens = 0
        for one in self._waiting:
            n_tokens += one.n_tokens
            if len(taken) == most or (taken and n_tokens > most_tokens):
                break
            if fits([*taken, one]):
                taken.append(one)
                for other in passed:
                    other.n_passed += 1
            else:
                n_tokens -= one.n_tokens
                passed.append(one)
                if one.n_passed >= PATIENCE or len(passed) == PATIENCE:
                    break
        self._waiting = [one for one in self._waiting if one not in taken]
        return taken
