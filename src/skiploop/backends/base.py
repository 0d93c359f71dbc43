"""Jobs for many workers, wherever they are.

A worker is a process that keeps something expensive, such as a model, and does one job after the
other. Jobs and what comes of them are JSON texts in both directions.
"""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Self

from skiploop.backends.tries import Job, Tries, Worker
from skiploop.errors import ConfigError

MAX_RETRIES = 3
"""Times that a job is tried again whose worker was lost, where nobody says."""

_log = logging.getLogger("skiploop")

Part = Mapping[str, Any]
"""A part of what comes of a job, as JSON has it."""


@dataclass(frozen=True)
class Work:
    """What workers run.

    Attributes:
        factory: Where it is made, as `module:function`; called once in every worker.
        settings: What the factory is called with, as JSON has it; `number`, that of the worker, is
            added. It returns a function of a job and of `tell`, which takes parts.
    """

    factory: str
    settings: Mapping[str, object]


Replies = SimpleQueue[tuple[Worker, str, Any]]
"""What workers say: `ready` once, then for each job any `part` and `note`, and `done` or
`failed` with a reason; `lost` with a reason at the end."""


class Backend(ABC):
    """Workers that are started when first needed and stay; a context manager.

    Args:
        work: What they run.
        n_workers: How many at most.
        max_retries: Times that a job is tried again whose worker was lost.

    Raises:
        ConfigError: A number is out of range.
    """

    def __init__(self, work: Work, *, n_workers: int, max_retries: int = MAX_RETRIES) -> None:
        if n_workers < 1 or max_retries < 0:
            raise ConfigError(
                f"{n_workers} workers and {max_retries} retries: give at least 1 worker, and 0 or "
                "more retries"
            )
        self.work = work
        self.n_workers = n_workers
        self.max_retries = max_retries
        self._replies: Replies = SimpleQueue()
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []

    @abstractmethod
    def start(self, number: int, replies: Replies) -> Worker:
        """Start a worker, which puts what it says into `replies`."""

    def map(self, jobs: Sequence[Job]) -> Iterator[Part]:
        """Yield the parts that come of some jobs, in any order.

        The job of a worker that is lost waits for the others and goes to the next one that is free.

        Raises:
            JobsFailedError: Some failed. It is raised at the end, when all others are done.
        """
        tries = Tries(jobs, self.max_retries, self.n_workers)
        try:
            while tries.are_open:
                self._hand_out(tries)
                worker, what, told = self._replies.get()
                if worker not in self._workers.values():
                    continue  # it was ended
                if what == "part":
                    tries.n_lost = 0
                    yield told
                elif what == "note":
                    _log.warning("a worker says: %s", told)
                elif what == "lost":
                    _log.warning("a worker is lost: %s", told)
                    self._forget(worker)
                    tries.lost(worker, told)
                else:
                    self._idle.append(worker)
                    tries.ended(worker, told)
        finally:
            for worker in tries.running:
                self._forget(worker)
        tries.check()

    def close(self) -> None:
        """End all workers; the backend can still be used and then starts new ones."""
        for worker in list(self._workers.values()):
            self._forget(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hand_out(self, tries: Tries) -> None:
        """Start as many workers as there are jobs, or all; give one to each that is free."""
        n_wanted = min(self.n_workers, len(tries.waiting) + len(tries.running))
        for number in range(self.n_workers):
            if len(self._workers) < n_wanted and number not in self._workers:
                self._workers[number] = self.start(number, self._replies)
        while tries.waiting and self._idle:
            worker = self._idle.pop()
            worker.send(json.dumps(tries.begin(worker).asked()))

    def _forget(self, worker: Worker) -> None:
        """End a worker; another may take its place."""
        worker.stop()
        self._workers = {number: one for number, one in self._workers.items() if one is not worker}
        with suppress(ValueError):
            self._idle.remove(worker)
