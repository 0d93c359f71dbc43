"""Grading in processes of its own, with limits on time and memory.

An answer that takes too long or too much costs its own verdict and one process; the others of its
batch are still graded. The processes are started when first needed, import neither torch nor the
caller's main module, stay for many batches and end with the caller.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Self, cast

from skiploop.errors import ConfigError, GraderError, told_as
from skiploop.graders.grade import Grade
from skiploop.graders.worker import EXIT_OUT_OF_MEMORY, EXIT_OUT_OF_TIME, READY

START_LIMIT_S = 120.0
"""Time for a process to start and to import its grader; not charged to any answer."""

WAIT_FACTOR = 10
"""Wall-clock time for an answer over its processor time."""

_START = "from skiploop.graders.worker import main; "


@dataclass(frozen=True)
class Job:
    """One verdict to be found in a grading process.

    Attributes:
        function: Where the grader is, as `module:function`; it returns a `Grade`.
        arguments: What it is called with; plain data that survives JSON.
    """

    function: str
    arguments: tuple[object, ...]


class GraderPool:
    """Grading processes with limits; a context manager.

    Safe to use from several threads, not from a forked copy of the process.

    Args:
        n_workers: Processes, started when first needed.
        time_limit_s: Processor time for one answer, so that a busy machine changes no verdict; one
            that waits instead has `WAIT_FACTOR` times as long.
        memory_limit_bytes: Address space of one process; ignored where the system has no such
            limit.

    Raises:
        ConfigError: A number is not positive.
    """

    def __init__(
        self,
        *,
        n_workers: int = 2,
        time_limit_s: float = 5.0,
        memory_limit_bytes: int = 2 * 2**30,
    ) -> None:
        if n_workers < 1 or time_limit_s <= 0 or memory_limit_bytes < 1:
            raise ConfigError(
                f"a pool of {n_workers} processes with {time_limit_s} s and {memory_limit_bytes} "
                "bytes cannot grade: give positive numbers"
            )
        self._workers = [_Worker(time_limit_s, memory_limit_bytes) for _ in range(n_workers)]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def grade_many(self, jobs: Sequence[Job]) -> list[Grade]:
        """Return one verdict a job, in order; None with a reason where a limit was met.

        Raises:
            GraderError: A process could not be started or cannot import the grader.
        """
        threads = ThreadPoolExecutor(min(len(self._workers), max(1, len(jobs))))
        try:
            grades = list(threads.map(self._grade, jobs))
        except BaseException:  # Ctrl-C included: leave no thread waiting for a hanging answer
            threads.shutdown(wait=False, cancel_futures=True)
            self.close()
            raise
        threads.shutdown()
        return grades

    def _grade(self, job: Job) -> Grade:
        worker = self._idle.get()
        try:
            return worker.grade(job)
        finally:
            self._idle.put(worker)

    def process_ids(self) -> list[int]:
        """Return the system's numbers of the processes that are running."""
        processes = (worker.process for worker in self._workers)
        return [process.pid for process in processes if process is not None]

    def close(self) -> None:
        """End all processes; the pool can still be used and then starts new ones."""
        for worker in self._workers:
            worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def shared_pool() -> GraderPool:
    """Return the pool with default limits that this process keeps until it ends."""
    return _pool_of(os.getpid())


@cache
def _pool_of(process_id: int) -> GraderPool:
    """Make the pool of one process, so that a forked process does not talk into its parent's."""
    pool = GraderPool()
    atexit.register(pool.close)
    return pool


class _Worker:
    """One grading process, started when needed and again after it was stopped."""

    def __init__(self, time_limit_s: float, memory_limit_bytes: int) -> None:
        self._time_limit_s = time_limit_s
        self._memory_limit_bytes = memory_limit_bytes
        self.process: subprocess.Popen[str] | None = None

    def grade(self, job: Job) -> Grade:
        """Return the verdict; a process that breaks a limit is stopped."""
        try:
            process = self._loaded(job)
            reply, is_late = _receive(process, WAIT_FACTOR * self._time_limit_s)
        except BaseException:
            self.stop()
            raise
        if is_late or not reply:
            self.stop()
        if reply:
            return Grade(**json.loads(reply))
        return Grade(None, reason=self._cause_of_end(process.returncode, is_late=is_late))

    def _loaded(self, job: Job) -> subprocess.Popen[str]:
        """Return a process that has read the job and loaded its function.

        A process that was killed from outside since the last job is replaced once.
        """
        ready = ""
        for _ in range(2):
            process = self._running()
            _send(process, json.dumps([job.function, *job.arguments]))
            ready, _ = _receive(process, START_LIMIT_S)
            if ready == READY:
                return process
            self.stop()
        raise GraderError(
            f"a grading process could not load {job.function} "
            f"({ready or 'it ended without a word'}): is skiploop completely installed?"
        )

    def _cause_of_end(self, exit_code: int, *, is_late: bool) -> str:
        if is_late or exit_code == EXIT_OUT_OF_TIME:
            return f"over {self._time_limit_s:g} s"
        if exit_code == EXIT_OUT_OF_MEMORY:
            return f"over {self._memory_limit_bytes / 2**30:g} GiB of memory"
        return f"the grading process ended with code {exit_code}"

    def _running(self) -> subprocess.Popen[str]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            self.process = self._start()
        return self.process

    def _start(self) -> subprocess.Popen[str]:
        limits = f"{self._time_limit_s}, {self._memory_limit_bytes}"
        source = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        problem = "a grading process could not be started"
        advice = f"check that {sys.executable!r} can be run"
        with told_as(GraderError, problem, advice, of=(OSError,)):
            return subprocess.Popen(
                [sys.executable, "-P", "-c", f"{_START}main({limits})"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
                env={**os.environ, "PYTHONPATH": path},
            )

    def stop(self) -> None:
        """End the process, if there is one, and wait until it is gone."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not read any more cannot be flushed
                _pipe(stream).close()


def _send(process: subprocess.Popen[str], line: str) -> None:
    with contextlib.suppress(OSError):  # the process has ended, which the next read tells
        _pipe(process.stdin).write(line + "\n")
        _pipe(process.stdin).flush()


def _receive(process: subprocess.Popen[str], limit_s: float) -> tuple[str, bool]:
    """Return the next line, empty if the process ended, and whether it was stopped for time."""
    is_late = threading.Event()

    def stop() -> None:
        is_late.set()
        process.kill()

    timer = threading.Timer(limit_s, stop)
    timer.start()
    try:
        line = _pipe(process.stdout).readline().rstrip("\n")
    finally:
        timer.cancel()
        timer.join()
    return line, is_late.is_set()


def _pipe(stream: IO[str] | None) -> IO[str]:
    return cast("IO[str]", stream)  # both ends are opened by `_start`
