"""From texts to padded batches: tokenizing, checking, grouping.

Shapes: B rows, T tokens of the longest row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from skiploop.errors import BatchError
from skiploop.program import Program
from skiploop.stack import LayerStack

MAX_ROWS = 64
MAX_POSITIONS = 65_536  # rows times tokens of the longest row: bounds the memory of a batch
LENGTH_STEP = 16  # within such a step of length, rows with equal programs go together


@dataclass(frozen=True)
class Row:
    """One prompt under one program.

    Attributes:
        index: Its place in the caller's list.
        tokens: Token ids, at least one.
        program: What it runs.
    """

    index: int
    tokens: list[int]
    program: Program


def check_texts(**lists: Sequence[str]) -> None:
    """Refuse a single text where a list of texts is meant.

    Raises:
        BatchError: It is one, or an entry is no text or holds half a surrogate pair.
    """
    for name, texts in lists.items():
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise BatchError(f"{name} must be a list of texts, not {texts!r}")
        for index, text in enumerate(texts):
            if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
                raise BatchError(f"{name}[{index}] is no Unicode text: write it as UTF-8")


def encode(stack: LayerStack, texts: Sequence[str]) -> list[list[int]]:
    """Tokenize texts, with the start token if the tokenizer adds one and the text has none.

    Raises:
        BatchError: A text has no tokens.
    """
    start = stack.tokenizer.bos_token
    encoded: list[list[int]] = []
    for index, text in enumerate(texts):
        has_start = bool(start) and text.startswith(start)
        tokens = stack.tokenizer(text, add_special_tokens=not has_start)["input_ids"]
        if not tokens:
            raise BatchError(f"prompt {index} has no tokens: give every row a text to continue")
        encoded.append(tokens)
    return encoded


def check_lengths(stack: LayerStack, rows: Sequence[Row], n_new: int) -> None:
    """Refuse rows that the model has no positions for.

    Raises:
        BatchError: A row and `n_new` more tokens are longer than the model allows.
    """
    config = stack.model.config.get_text_config(decoder=True)
    limit = getattr(config, "max_position_embeddings", None)
    for row in rows:
        if limit is not None and len(row.tokens) + n_new > limit:
            raise BatchError(
                f"prompt {row.index} has {len(row.tokens)} tokens and may get {n_new} more, but "
                f"{stack.name} takes {limit} in all: shorten it or lower max_new_tokens"
            )


def split(rows: Sequence[Row], n_new: int, max_rows: int = MAX_ROWS) -> Iterator[list[Row]]:
    """Yield batches, the longest rows first, so that too little memory shows at once.

    Rows of about the same length are ordered by program: rows that share a program share calls.

    Args:
        rows: Any number.
        n_new: Tokens that each row may get.
        max_rows: Most rows in a batch.
    """
    ordered = sorted(
        rows,
        key=lambda row: (len(row.tokens) // LENGTH_STEP, row.program.path, len(row.tokens)),
        reverse=True,
    )
    batch: list[Row] = []
    longest = 0
    for row in ordered:
        longest = max(longest, len(row.tokens) + n_new)
        if batch and (len(batch) == max_rows or (len(batch) + 1) * longest > MAX_POSITIONS):
            yield batch
            batch, longest = [], len(row.tokens) + n_new
        batch.append(row)
    if batch:
        yield batch


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return tokens_BT with zeros on the left of short rows, and mask_BT with 0 there, else 1."""
    longest = max(map(len, rows))
    padding = [longest - len(row) for row in rows]
    tokens = [[0] * n + list(row) for n, row in zip(padding, rows, strict=True)]
    mask = [[0] * n + [1] * (longest - n) for n in padding]
    return torch.tensor(tokens, device=device), torch.tensor(mask, device=device)
