"""The inside of a worker: jobs come in, parts of what comes of them go out."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from queue import SimpleQueue
from typing import Any

from skiploop.errors import one_line

Tell = Callable[[str, object], None]
"""Takes a word, such as `part`, and what is said."""
Do = Callable[[Mapping[str, Any], Callable[[object], None]], None]
"""Does a job, and tells its parts."""


def made(factory: str, settings: Mapping[str, object]) -> Do:
    """Return what does jobs; a factory is named as `module:function`."""
    do: Do = resolve_name(factory)(**settings)
    return do


def do_job(do: Do, text: str, tell: Tell) -> None:
    """Do a job and tell its parts and what is logged, then that it is done or why it failed."""
    notes = _Notes(tell)
    logging.getLogger("skiploop").addHandler(notes)
    try:
        do(json.loads(text), lambda part: tell("part", part))
    except Exception as error:  # noqa: BLE001 (process boundary: the reason goes to the caller)
        tell("failed", f"{type(error).__name__}: {one_line(error)}")
    else:
        tell("done", None)
    finally:
        logging.getLogger("skiploop").removeHandler(notes)


class _Notes(logging.Handler):
    """Passes on warnings of the library."""

    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell("note", record.getMessage())


def main(factory: str, settings: str) -> None:
    """Serve jobs, one line each, until the input ends; then end at once, whatever is being done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for a reply

    def tell(what: str, told: object) -> None:
        print(json.dumps([what, told]), file=replies, flush=True)

    do = made(factory, json.loads(settings))
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    tell("ready", None)
    while True:
        do_job(do, lines.get(), tell)


def _read(lines: SimpleQueue[str]) -> None:
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # the caller is gone, and with it whoever would read what is being made
