"""Replicas of a run to which something happens: the factories of workers in tests of faults."""

import os
import signal
import time
from pathlib import Path

import torch

from skiploop.runs.replica import replica
from skiploop.trials.evaluator import Evaluator

ROOM = 10**8
"""Bytes of a batch above which the small one is out of memory."""
SECONDS = 4
"""Of a job of the slow one, on top."""


def deadly(**settings):
    """Return what ends its worker in the job of a question, as often as there are files for it."""
    do, left = replica(**settings), Path(os.environ["DEADLY"])

    def do_or_die(job, tell):
        is_deadly = any(one["id"] == os.environ["DEADLY_QUESTION"] for one in job["examples"])

        def tell_and_die(part):
            tell(part)
            for file in left.iterdir():
                file.unlink()
                os.kill(os.getpid(), signal.SIGKILL)

        do(job, tell_and_die if is_deadly else tell)

    return do_or_die


def small(**settings):
    """Return what runs out of memory where a batch may take more than `ROOM`."""
    answers = Evaluator._answers

    def within_room(self, *arguments, **others):
        if self.stack.memory > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory")
        yield from answers(self, *arguments, **others)

    Evaluator._answers = within_room
    return replica(**settings)


def slow(**settings):
    """Return what takes seconds for a job, and leaves a file with the address of its host."""
    import ray

    do, begun = replica(**settings), Path(os.environ["DEADLY"])

    def do_slowly(job, tell):
        (begun / ray.util.get_node_ip_address()).touch()
        time.sleep(SECONDS)
        do(job, tell)

    return do_slowly
