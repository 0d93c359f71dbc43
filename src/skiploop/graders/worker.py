"""The inside of a grading process: jobs come in as JSON lines, verdicts go out as JSON lines.

For every job the process writes two lines: `READY` once the grader is imported, then the verdict.
Only the time between them is charged to the answer.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module

from skiploop.graders.grade import Grade

try:
    import resource
except ImportError:  # Windows has neither limit; that of the caller on waiting still holds
    resource = None  # type: ignore[assignment]

READY = "ready"
EXIT_OUT_OF_MEMORY = 77
EXIT_OUT_OF_TIME = -signal.SIGPROF if hasattr(signal, "SIGPROF") else None
"""What the caller sees of a process that the system has ended for its processor time; None on
Windows, which ends none for that."""


def main(time_limit_s: float, memory_limit_bytes: int) -> None:
    """Serve jobs until the input ends.

    Args:
        time_limit_s: Processor time for one job, after which the system ends this process.
        memory_limit_bytes: Address space of this process.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a grader prints must not be taken for a verdict
    _limit_memory(memory_limit_bytes)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            function = _load(name)
        except (ImportError, AttributeError) as error:
            print(" ".join(str(error).split()), file=replies, flush=True)
            continue
        print(READY, file=replies, flush=True)
        _limit_cpu_time(time_limit_s)
        verdict = _grade(function, arguments)
        _limit_cpu_time(0)
        print(json.dumps(asdict(verdict)), file=replies, flush=True)


def _load(name: str) -> Callable[..., Grade]:
    module, _, function = name.partition(":")
    loaded: Callable[..., Grade] = getattr(import_module(module), function)
    return loaded


def _grade(function: Callable[..., Grade], arguments: list[object]) -> Grade:
    try:
        return function(*arguments)
    except MemoryError:
        os._exit(EXIT_OUT_OF_MEMORY)  # nothing in this process can be trusted any more
    except Exception as error:  # noqa: BLE001 (process boundary: the reason goes to the caller)
        return Grade(None, reason=f"{type(error).__name__}: {error}"[:200])


def _limit_memory(limit_bytes: int) -> None:
    if resource is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        soft = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        try:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        except (ValueError, OSError):  # macOS knows the limit but does not let it be set
            return


def _limit_cpu_time(limit_s: float) -> None:
    """Let the system end this process after so much more processor time; 0 lifts the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, limit_s)
