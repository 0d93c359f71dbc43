"""One process at a time works in a run folder; who it is stands in the folder."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from skiploop.errors import RunError
from skiploop.files import write_atomic
from skiploop.runs.ledger import not_writable

_LOCK, _HOLDER = ".lock", ".holder"
LOCK_FILES = (_LOCK, _HOLDER)


class RunLock:
    """The lock of a run folder, old or new; the system frees it when its holder ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / _LOCK, timeout=0, is_singleton=True)

    def acquire(self) -> None:
        """Make the folder if there is none, and take the lock.

        Raises:
            RunError: Another process holds it, or the folder cannot be written.
        """
        holder = self._folder / _HOLDER
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            write_atomic(holder, f"process {os.getpid()} on {socket.gethostname()}")
        except Timeout as error:
            who = "another process"
            with suppress(OSError):  # one of an older version says nothing
                who = holder.read_text(encoding="utf-8", errors="replace")
            raise RunError(
                f"{who} is working in {self._folder}: wait for it, or use another --out"
            ) from error
        except OSError as error:
            raise not_writable(self._folder) from error

    def release(self) -> None:
        """Let others work there."""
        self._lock.release()
