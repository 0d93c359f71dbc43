"""What `skiploop generate` prints: an answer while it is written, or several when they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from skiploop.policies.base import Answer


class Answers:
    """Prints answers; a single one grows on the screen, and an interruption loses nothing.

    Args:
        labels: Of the rows that are known beforehand; with one of them its text is printed as it
            is written.
        strips: Whether spaces around an answer say nothing.
    """

    def __init__(self, labels: Sequence[str], *, strips: bool) -> None:
        self._labels = labels
        self._strips = strips
        self._written: dict[int, str] = {}

    def told(self, row: int, text: str) -> None:
        """Note what a row has written so far."""
        before = self._shown(self._written.get(row, ""))
        self._written[row] = text
        if len(self._labels) == 1:
            print(self._shown(text)[len(before) :], end="", flush=True)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Print what is written when the user wants no more."""
        try:
            yield
        except KeyboardInterrupt:
            if len(self._labels) == 1:
                print(flush=True)
            else:
                for label, (_, text) in zip(
                    self._labels, sorted(self._written.items()), strict=False
                ):
                    print(f"[{label}] {self._shown(text)}", flush=True)
            raise

    def finish(self, answers: Sequence[Answer]) -> None:
        """Print what is not printed yet."""
        if len(self._labels) == 1:
            print(flush=True)
            return
        for one in answers:
            label = f"[{one.program}] " if len(answers) > 1 else ""
            print(label + self._shown(one.text))

    def _shown(self, text: str) -> str:
        return text.strip() if self._strips else text
