"""Which worker has which job, and what happens to the job of one that is lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from skiploop.errors import JobsFailedError

_SHOWN = 5
"""Failed jobs that a message names."""


@dataclass(frozen=True, eq=False)
class Job:
    """A piece of work.

    Attributes:
        name: For messages.
        asked: Returns what the worker is told, as JSON has it. It is called whenever the job is
            handed out, so that what came of an earlier try is not asked for again.
    """

    name: str
    asked: Callable[[], Mapping[str, object]]


class Worker(Protocol):
    """One process somewhere."""

    def send(self, text: str) -> None:
        """Hand it a job; whether it is gone shows in its replies."""

    def stop(self) -> None:
        """End it, whatever it does."""


class Tries:
    """The jobs of one call, and how often each was begun in vain.

    Attributes:
        waiting: Jobs that nobody has.
        running: What each worker has.
        n_lost: Workers that were lost since one was heard of.
    """

    def __init__(self, jobs: Sequence[Job], max_retries: int, n_workers: int) -> None:
        self.waiting = deque(jobs)
        self.running: dict[Worker, Job] = {}
        self.n_lost = 0
        self._n_jobs = len(jobs)
        self._max_retries = max_retries
        self._most_lost = (1 + max_retries) * n_workers
        self._n_tries: Counter[Job] = Counter()
        self._reasons: dict[Job, str] = {}

    @property
    def are_open(self) -> bool:
        """Whether a job is not ended yet."""
        return bool(self.waiting or self.running)

    def begin(self, worker: Worker) -> Job:
        """Return the next job, which a worker has from now on."""
        self.running[worker] = job = self.waiting.popleft()
        return job

    def ended(self, worker: Worker, reason: str | None) -> None:
        """Note that a worker is free, and why its job failed if it did."""
        self.n_lost = 0
        job = self.running.pop(worker, None)
        if job and reason is not None:
            self._reasons[job] = reason

    def lost(self, worker: Worker, reason: str) -> None:
        """Note that a worker is lost; its job, if it had one, waits until the others were begun.

        Raises:
            JobsFailedError: One worker after the other is lost, so no other job is tried.
        """
        self.n_lost += 1
        if job := self.running.pop(worker, None):
            self._n_tries[job] += 1
            if self._n_tries[job] <= self._max_retries:
                self.waiting.append(job)
            else:
                self._reasons[job] = f"{reason}, the last of {self._n_tries[job]} tries"
        if self.n_lost > self._most_lost:
            self._reasons |= dict.fromkeys([*self.waiting, *self.running.values()], reason)
            self.check()

    def check(self) -> None:
        """Refuse an end at which jobs have failed.

        Raises:
            JobsFailedError: Some have; the message names them and why.
        """
        if not self._reasons:
            return
        named = [f"{job.name}: {reason}" for job, reason in self._reasons.items()]
        more = [f"and {len(named) - _SHOWN} more"] if len(named) > _SHOWN else []
        raise JobsFailedError(
            f"{len(named)} of {self._n_jobs} jobs failed, what came of all others is stored: "
            f"{'; '.join(named[:_SHOWN] + more)}; run the same command again for what is missing"
        )
