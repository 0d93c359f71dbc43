"""Stop strings and end tokens: found while tokens arrive, also across tokens.

Rows are not decoded one by one at every step. A token can only complete a stop string if its text
holds the last character of one, so a table over the vocabulary tells which rows deserve a look.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from skiploop.box import CLOSED_BOX, first_box_end
from skiploop.engine.decoding.written import UNFINISHED, Reader

_UNKNOWN, _HARMLESS, _WATCHED = -1, 0, 1


class StopFinder:
    """Watches the tokens of many rows for strings, none of them empty.

    `CLOSED_BOX` among these stands for a box of any content.

    Attributes:
        reader: Reads tokens as text.
        end_tokens: Tokens that end a row whatever the text.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str], end_tokens: frozenset[int]
    ) -> None:
        self.reader = Reader(tokenizer, end_tokens)
        self._stop = stop
        self.end_tokens = end_tokens
        self._last = {string[-1] for string in stop}
        if any(not character.isascii() for character in self._last):
            self._last.add(UNFINISHED)  # its bytes may be spread over tokens
        size = max(len(tokenizer), *end_tokens, 0) + 1
        self._kind_V = torch.full((size,), _UNKNOWN, dtype=torch.int8)
        self._kind_V[list(end_tokens)] = _WATCHED

    def watched(self, tokens_B: Tensor) -> list[int]:
        """Return the rows whose newest token may end them.

        Args:
            tokens_B: On the CPU.

        Cost:
            One look into a table; each token of the vocabulary is decoded once, when it is first
            seen.
        """
        if len(self._kind_V) <= int(tokens_B.max()):  # a head with more entries than the tokenizer
            more = int(tokens_B.max()) + 1 - len(self._kind_V)
            self._kind_V = torch.cat([self._kind_V, self._kind_V.new_full((more,), _UNKNOWN)])
        for token in tokens_B[self._kind_V[tokens_B] == _UNKNOWN].tolist():
            piece = self.reader.written([token]) if self._last else ""
            # Some tokenizers put a space before a piece only after certain others.
            is_watched = self._last & {*piece, " "}
            self._kind_V[token] = _WATCHED if is_watched else _HARMLESS
        watched: list[int] = self._kind_V[tokens_B].nonzero()[:, 0].tolist()
        return watched

    def has_stop(self, tokens: Sequence[int]) -> bool:
        """Whether a row has written a stop string; special tokens count as text."""
        if not self._stop:
            return False
        text = self.reader.written(tokens)
        return any(_end(text, string) is not None for string in self._stop)


@lru_cache(maxsize=8)
def ending_tokens(
    tokenizer: PreTrainedTokenizerBase, stop: tuple[str, ...], end_tokens: frozenset[int]
) -> Tensor:
    """Return the end tokens and those whose text, after other text, starts with a stop string.

    Cost:
        The whole vocabulary is decoded, once for each tokenizer.
    """
    pieces = Reader(tokenizer).written_alone(range(len(tokenizer)))
    starting = {token for token, piece in enumerate(pieces) if piece.startswith(stop)}
    return torch.tensor(sorted(starting | end_tokens), dtype=torch.long)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first stop string in it, a closed box with its last brace."""
    ends = [_end(text, string) for string in stop]
    return text[: min((end for end in ends if end is not None), default=None)]


def _end(text: str, string: str) -> int | None:
    """Return how many characters of a text a stop string leaves, None if it is not in it."""
    if string == CLOSED_BOX:
        end = first_box_end(text)
        return None if end is None else end + 1
    return text.find(string) if string in text else None


def without_part_of(stop: Sequence[str], text: str) -> str:
    """Return the text without an end that may turn out to be the start of a stop string."""
    lengths = [n for string in stop for n in range(1, len(string)) if text.endswith(string[:n])]
    return text[: len(text) - max(lengths, default=0)]
