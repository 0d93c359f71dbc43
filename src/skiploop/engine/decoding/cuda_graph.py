"""Decode steps: one further token for every row of an executor.

On a GPU a step is recorded once as a CUDA graph and then replayed: launching its kernels one by one
from Python takes many times longer than they run. A recorded step needs tensors that stay where
they are, so keys, values and mask have their final length from the start, and what is not written
yet is masked.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

import functools
import logging
from typing import Protocol

import torch
from torch import Tensor

from skiploop.engine.cache.slots import aligned
from skiploop.engine.forward.executor import Executor
from skiploop.engine.forward.parts import one_at_a_time

_log = logging.getLogger("skiploop")


class Stepper(Protocol):
    """Runs decode steps, and can be asked for where they have come to."""

    executor: Executor

    @property
    def mask_BK(self) -> Tensor:
        """1 at every token that the executor holds, 0 at padding."""

    def logits(self, tokens_B: Tensor) -> Tensor:
        """Run the next token of every row and return logits_BV; valid until the next step."""


def steps(executor: Executor, mask_BK: Tensor, n_most: int) -> Stepper:
    """Return the fastest way to run up to `n_most` further tokens of some rows."""
    if n_most >= executor.stack.tuning.record_from and executor.stack.attends_fully:
        return GraphStepper(executor, mask_BK, n_most)
    return PlainStepper(executor, mask_BK)


class PlainStepper:
    """Steps as they come; the mask grows with them."""

    def __init__(self, executor: Executor, mask_BK: Tensor) -> None:
        self.executor = executor
        self.mask_BK = mask_BK

    def logits(self, tokens_B: Tensor) -> Tensor:
        """Run the next token of every row and return logits_BV."""
        ones_B1 = self.mask_BK.new_ones(len(self.mask_BK), 1)
        self.mask_BK = torch.cat([self.mask_BK, ones_B1], dim=1)
        return self.executor.logits(tokens_B[:, None], self.mask_BK, n_last=1)[:, -1]


class GraphStepper:
    """The first step runs as it comes, the second one is recorded, and replayed from then on.

    Where steps of this kind were recorded before, the first one is. Where nothing is recorded,
    without CUDA or because the model does not allow it, every step runs as it comes, on the same
    tensors.
    """

    def __init__(self, executor: Executor, mask_BK: Tensor, n_most: int) -> None:
        self.executor = executor
        self._n_held = mask_BK.shape[1]
        length = aligned(self._n_held + n_most, mask_BK.device)
        self._whole_mask_BK = torch.nn.functional.pad(mask_BK, (0, length - self._n_held))
        self._place_1 = torch.tensor([self._n_held], device=mask_BK.device)
        self._tokens_B1 = mask_BK.new_zeros(len(mask_BK), 1)
        self._logits_BV = torch.empty(0)
        self._graph: torch.cuda.CUDAGraph | None = None
        self._may_record = mask_BK.is_cuda
        # What runs for the first time prepares itself, which cannot be recorded: for one row or
        # many, before layers have compiled parts and after.
        self._kind = len(mask_BK) > 1, executor.stack.parts.pay
        self._is_warm = self._kind in (executor.stack.recorded or ())
        self._cache = executor.fix_length(length, self._place_1)

    @property
    def mask_BK(self) -> Tensor:
        """1 at every token that the executor holds, 0 at padding."""
        return self._whole_mask_BK[:, : self._n_held]

    def logits(self, tokens_B: Tensor) -> Tensor:
        """Run the next token of every row and return logits_BV."""
        self._tokens_B1.copy_(tokens_B[:, None])
        if self._graph is not None:
            self.executor.note_replay()
        elif self._is_warm and self._may_record and self.executor.stack.recorded is not None:
            self._record()
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()
        self._is_warm = True
        self._n_held += 1
        self._cache.count()
        return self._logits_BV

    def _step(self) -> None:
        self._whole_mask_BK.index_fill_(1, self._place_1, 1)
        tokens_B1, mask_BK = self._tokens_B1, self._whole_mask_BK
        self._logits_BV = self.executor.logits(tokens_B1, mask_BK, n_last=1)[:, -1]
        self._place_1.add_(1)

    def _record(self) -> None:
        """Record a step without running it, unless the model does what cannot be recorded."""
        device, stack = self._tokens_B1.device, self.executor.stack
        try:
            graph = torch.cuda.CUDAGraph()
            with (
                one_at_a_time,
                torch.cuda.device(device),
                torch.cuda.stream(torch.cuda.current_stream(device)),  # the one to come back to
                torch.cuda.graph(graph, stream=_stream(device), capture_error_mode="thread_local"),
            ):
                self._step()
        except RuntimeError as error:
            self._may_record = False
            if not isinstance(error, torch.OutOfMemoryError):
                stack.recorded = None
            _log.info("%s: a step cannot be recorded (%s)", stack.name, error)
        else:
            self._graph = graph
            if stack.recorded is not None:  # another thread may have found that it cannot be
                stack.recorded.add(self._kind)


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream on which all graphs of a device are recorded."""
    return torch.cuda.Stream(device)
