"""A batch that does not fit in memory is tried again at half the size."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from skiploop.stack import LayerStack
from skiploop.trials.evaluator import Pair
from skiploop.trials.store import Key, Trial

LEAST_BYTES = 2**20
"""A budget that is not halved any more: what does not fit then never will."""

_OF_CPU = "can't allocate memory"
"""What torch says on a CPU, where its error has no type of its own."""

_log = logging.getLogger("skiploop")


def within_memory(
    stack: LayerStack,
    pairs: Mapping[Key, Pair],
    stream: Callable[[Sequence[Pair]], Iterator[list[Trial]]],
) -> Iterator[list[Trial]]:
    """Yield what a stream of trials yields; out of memory, it goes on at half the batch budget.

    Afterwards the stack has the budget that it had before.
    """
    left, memory = dict(pairs), stack.memory
    try:
        while True:
            try:
                for trials in stream(list(left.values())):
                    for trial in trials:
                        left.pop((trial.example_id, trial.program), None)
                    yield trials
                return
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or stack.memory <= LEAST_BYTES:
                    raise
            stack.memory //= 2
            if stack.device.type == "cuda":
                torch.cuda.empty_cache()
            _log.warning(
                "out of memory with %d trials left: they run on in batches of at most %.3g GB",
                len(left),
                stack.memory / 1e9,
            )
    finally:
        stack.memory = memory


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there was no memory."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or _OF_CPU in str(error)
