"""From tokens to padded batches: checking, grouping.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from skiploop.engine.forward.rotary import longest, room
from skiploop.errors import BatchError
from skiploop.models.size import n_weights
from skiploop.programs.program import Program

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


@dataclass(frozen=True)
class Row:
    """One prompt under one program.

    Attributes:
        index: Its place in the caller's list: a number that no other row of a batch has.
        tokens: Token ids, at least one.
        program: What it runs.
        draft: Tokens that the model may write next; they are checked, not believed.
        is_scored: Whether the log-probability of the draft is wanted.
        n_bytes: Most memory that its keys and values take; 0 where none are kept.
        n_most: Tokens that its answer may have before it ends, or must be run again with other
            rotary tables.
        seed: Of its random draws, if its tokens are drawn.
    """

    index: int
    tokens: tuple[int, ...]
    program: Program
    draft: tuple[int, ...] = ()
    is_scored: bool = False
    n_bytes: int = 0
    n_most: int = 0
    seed: int = 0


def n_most(stack: LayerStack, prompt: Sequence[int], n_written: int, n_new: int) -> int:
    """Return how many tokens, `n_new` at most, an answer may have before rotary tables change."""
    end = room(stack, len(prompt) + n_written)
    return n_new if end is None else min(n_new, end + 1 - len(prompt))


def row_bytes(stack: LayerStack, prompt: Sequence[int], program: Program, n_new: int) -> int:
    """Return the most memory that the keys and values of one row take."""
    n_tokens = len(prompt) + n_new + stack.tuning.growth
    return program.n_slots * n_tokens * stack.token_bytes


def check_lengths(stack: LayerStack, rows: Sequence[Row], n_new: int) -> None:
    """Refuse rows that the model has no positions for, or that do not fit into memory.

    Raises:
        BatchError: A row and `n_new` more tokens are longer than the model allows, or the keys
            and values of a row alone are more than the memory budget.
    """
    limit = longest(stack)
    for row in rows:
        if limit is not None and len(row.tokens) + n_new > limit:
            raise BatchError(
                f"prompt {row.index} has {len(row.tokens)} tokens and may get {n_new} more, but "
                f"{stack.name} takes {limit} in all: shorten it or lower max_new_tokens"
            )
        if row.n_bytes > stack.memory // 2:
            raise BatchError(
                f"prompt {row.index} under program {row.program} needs {row.n_bytes:,} bytes of "
                f"keys and values, but one batch has {stack.memory // 2:,}: raise it with "
                "load(..., memory=...) or --memory, shorten the prompt, or lower max_new_tokens"
            )


def split(
    stack: LayerStack,
    rows: Sequence[Row],
    *,
    n_passes: int = 1,
    n_shared: int = 0,
) -> Iterator[list[Row]]:
    """Yield batches, the longest rows first, so that too little memory shows at once.

    Rows with the same tokens follow each other in the order of their paths, so that batches share
    as many nodes as can be. A shorter row starts a new batch where padding all rows would cost more
    than the passes of one more batch.

    Args:
        stack: Says how much memory the keys and values of a batch may take, and whether every row
            must be alone. A batch gets half of the memory, as rows are copied when they leave what
            they share.
        rows: Any number.
        n_passes: Forward passes that a batch may take.
        n_shared: Tokens at the start of every row that are computed elsewhere.
    """
    most = stack.tuning
    max_rows = 1 if stack.exact else most.rows
    most_tokens = _most_tokens(stack)
    most_padding = n_passes * call_tokens(stack) if stack.way.pads else 0
    batch: list[Row] = []
    n_bytes = longest = padding = 0
    for row in sorted(rows, key=_batch_order, reverse=True):
        n_own = len(row.tokens) + len(row.draft) - n_shared
        n_padded = longest - n_own if batch else 0
        row_bytes = row.n_bytes and row.n_bytes + n_padded * row.program.n_slots * stack.token_bytes
        is_full = (
            len(batch) == max_rows
            or (len(batch) + 1) * longest > most_tokens
            or n_bytes + row_bytes > stack.memory // 2
            or padding + n_padded > most_padding
        )
        if batch and is_full:
            yield batch
            batch, n_bytes, padding = [], 0, 0
            row_bytes, n_padded = row.n_bytes, 0
        longest = longest if batch else n_own
        batch.append(row)
        n_bytes += row_bytes
        padding += n_padded
    if batch:
        yield batch


def call_tokens(stack: LayerStack) -> int:
    """Return the tokens whose products take as long as a layer call does apart from them."""
    return int(stack.tuning.call_flops / token_flops(stack))


def token_flops(stack: LayerStack) -> int:
    """Return the floating-point operations of a layer's products with one token."""
    return 2 * max(n_weights(stack.layers[0]), 1)


def _most_tokens(stack: LayerStack) -> int:
    """Return the tokens of a batch that layers compute within a quarter of the memory budget."""
    widest = max(size for weight in stack.layers[0].parameters() for size in weight.shape)
    token_bytes = 4 * widest * stack.dtype.itemsize  # of a gated product, and what comes before it
    fitting = max(stack.memory // 4 // token_bytes, stack.tuning.least_tokens)
    return min(stack.tuning.tokens, fitting)


def number_sources(rows: Sequence[Row]) -> tuple[list[Row], list[int]]:
    """Return one row for each different token sequence, and the sequence of each row."""
    numbers: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    firsts: list[Row] = []
    sources = []
    for row in rows:
        key = row.tokens, row.draft
        if key not in numbers:
            numbers[key] = len(firsts)
            firsts.append(row)
        sources.append(numbers[key])
    return firsts, sources


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tokens_ST with zeros on the left of short rows, and mask_ST with 0 there, else 1."""
    longest = max(map(len, rows))
    padding = [longest - len(row) for row in rows]
    tokens = [[0] * n + list(row) for n, row in zip(padding, rows, strict=True)]
    mask = [[0] * n + [1] * (longest - n) for n in padding]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)


def _batch_order(row: Row) -> tuple[object, ...]:
    return len(row.tokens) + len(row.draft), row.tokens, row.draft, row.program.layer_inputs
