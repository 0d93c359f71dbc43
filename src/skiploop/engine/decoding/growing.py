"""The texts of rows while they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skiploop.engine.decoding.row_state import TokenColumn
from skiploop.engine.decoding.stop import without_part_of
from skiploop.engine.decoding.written import Reader

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Told = Callable[[int, str], None]
"""Is told the number of a prompt, and all that is written for it so far."""


class GrowingTexts:
    """Tells what rows have written, with every token, and no more of it than is sure to stay.

    Args:
        tokenizer: Decodes tokens.
        stop: Strings that end an answer: what may be the start of one is not told yet.
        told: Is told.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str], told: Told) -> None:
        self._reader = Reader(tokenizer)
        self._stop = stop
        self._told = told
        self._tokens: dict[int, list[int]] = {}

    def add(self, column: TokenColumn) -> None:
        """Tell what a column adds."""
        for row, token in zip(column.rows, column.tokens_B.tolist(), strict=True):
            tokens = self._tokens.setdefault(row, [])
            tokens.append(token)
            if row not in column.finished:
                sure = without_part_of(self._stop, self._reader.lasting(tokens))
                self._told(row, self._reader.shown_of(sure, tokens))
        for row, completion in column.finished.items():
            self._told(row, completion.text)
