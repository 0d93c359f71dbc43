"""Ctrl-C stops where nothing is lost; a second one stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Ctrl-C that waits for such a place."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._is_asked = False

    def check(self) -> None:
        """Stop here if Ctrl-C was pressed.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self._is_asked:
            self._is_asked = False
            raise KeyboardInterrupt

    @contextmanager
    def at_the_next_stop(self) -> Iterator[None]:
        """Let the first Ctrl-C wait for `check`."""
        if threading.current_thread() is not threading.main_thread():
            yield  # Ctrl-C is the main thread's
            return
        self._is_asked = False
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._is_asked:
            signal.default_int_handler(number, frame)
        self._is_asked = True
        self._say("stopping when what is being graded is stored; Ctrl-C again stops now")
