"""Layers that run only when they are needed, for all tokens that have not been there.

The layers between two exits are a block. A token that exits leaves its states waiting before the
next block; when a later token goes on, all that wait there run with it. So every state is that of
the plain model, keys and values have no gaps, and what is never asked for is never computed.

Shapes: T tokens, K keys, D numbers of a state, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from skiploop.engine.forward.executor import Executor
from skiploop.engine.plan.schedule import schedule
from skiploop.errors import UnsupportedModelError
from skiploop.stack import LayerStack


def check_supported(stack: LayerStack) -> None:
    """Refuse a model whose layers cannot take several tokens after others."""
    sorts = {type(layer) for layer in DynamicCache(config=stack.model.config).layers}
    attends = stack.way.caches and sorts <= {DynamicLayer, DynamicSlidingWindowLayer}
    if not attends or stack.rotary_switches:
        raise UnsupportedModelError(
            "early exit is for models whose layers all keep keys and values, with the same "
            f"positions at any length, which {type(stack.model).__name__} does not: use another "
            "method, such as shortgpt:LAYERS"
        )


class _Block:
    """Layers that run one after the other, on all tokens that wait for them.

    Attributes:
        n_run: Tokens that have run.
    """

    def __init__(self, stack: LayerStack, layers: range) -> None:
        self.stack = stack
        self.layers = layers
        self.n_run = 0
        self._executor = self._fresh()
        self._tokens: list[int] = []
        self._states: list[Tensor] = []

    def _fresh(self) -> Executor:
        return Executor(self.stack, schedule([tuple(self.layers)]), use_cache=True)

    def wait(self, tokens: Sequence[int], states_TD: Tensor | None) -> None:
        """Put tokens before the block, with their states unless these are the embeddings."""
        self._tokens += tokens
        self._states += [] if states_TD is None else [states_TD]

    def run(self) -> tuple[list[int], Tensor]:
        """Run what waits; return its tokens and its states_TD after the block."""
        tokens, self._tokens = self._tokens, []
        states, self._states = self._states, []
        tokens_1T = torch.tensor([tokens], device=self.stack.device)
        mask_1K = tokens_1T.new_ones(1, self.n_run + len(tokens))
        starts = {0: torch.cat(states)} if states else None
        self.n_run += len(tokens)
        return tokens, self._executor.hidden(tokens_1T, mask_1K, starts=starts)[0]

    def logits(self, states_TD: Tensor) -> Tensor:
        """Return logits_V of the last of some states: the logit lens."""
        return self._executor.head(states_TD[None, -1:])[0, 0]

    def fork(self) -> _Block:
        """Return a block in the same state; this one stays as it is."""
        block = copy.copy(self)
        block._tokens, block._states = [*self._tokens], [*self._states]
        block._executor = self._executor.fork([0], [0]) if self.n_run else self._fresh()
        return block


class ExitRow:
    """One sequence of tokens of a model with exits; see `EarlyExit`."""

    def __init__(
        self, stack: LayerStack, exits: Sequence[int], thresholds: Sequence[float]
    ) -> None:
        bounds = pairwise((0, *exits, stack.n_layers))
        self._blocks = [_Block(stack, range(start, stop)) for start, stop in bounds]
        self._thresholds = thresholds
        self._n_before = 0

    def next_logits(self, tokens: Sequence[int]) -> Tensor:
        """Return logits_V after some more tokens, from the first exit that is sure enough."""
        self._blocks[0].wait(tokens, None)
        *early, last = self._blocks
        for block, after, threshold in zip(early, self._blocks[1:], self._thresholds, strict=True):
            ran, states_TD = block.run()
            after.wait(ran, states_TD)
            if threshold <= 1:
                logits_V = block.logits(states_TD)
                if float(logits_V.softmax(-1).max()) >= threshold:
                    return logits_V
        return last.logits(last.run()[1])

    def fork(self) -> ExitRow:
        """Return a row that goes on from here on its own, and counts only what it runs then."""
        row = copy.copy(self)
        row._blocks = [block.fork() for block in self._blocks]
        row._n_before += self.n_layer_passes
        return row

    @property
    def n_layer_passes(self) -> int:
        """Layers that ran, each counted once for every token."""
        return sum(len(block.layers) * block.n_run for block in self._blocks) - self._n_before

    @property
    def kv_bytes(self) -> int | None:
        """Bytes of the keys and values of what ran; None where nobody can tell."""
        sizes = [block.stack.kv_size.of(block.layers, block.n_run) for block in self._blocks]
        return sum(size for size in sizes if size is not None) if None not in sizes else None
