"""The texts of rows while they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skiploop.engine.decoding.row_state import TokenColumn, TokenWriter
from skiploop.engine.options import Options

if TYPE_CHECKING:
    from skiploop.stack import LayerStack

Told = Callable[[int, str], None]
"""Is told the number of a prompt, and all that is written for it so far."""


class GrowingTexts:
    """Tells what rows have written, with every token, and no more of it than is sure to stay."""

    def __init__(self, stack: LayerStack, options: Options, told: Told) -> None:
        self._writer = TokenWriter(stack, options)
        self._told = told
        self._tokens: dict[int, list[int]] = {}

    def add(self, column: TokenColumn) -> None:
        """Tell what a column adds."""
        for row, token in zip(column.rows, column.tokens_B.tolist(), strict=True):
            tokens = self._tokens.setdefault(row, [])
            tokens.append(token)
            if row not in column.finished:
                self._told(row, self._writer.sure_text(tokens))
        for row, completion in column.finished.items():
            self._told(row, completion.text)
