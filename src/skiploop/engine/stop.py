"""Stop strings: found while tokens arrive, also across tokens, in constant time a token."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_UNFINISHED = "\ufffd"  # what an incomplete character decodes to


class StopFinder:
    """Watches the tokens of one row.

    Text is decoded piece by piece: the difference between the last few tokens with and without
    the new one. Pieces that end inside a character are looked at, but wait for the rest of it.

    Args:
        tokenizer: Decodes tokens.
        stop: Strings to look for, none of them empty.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._n_kept = max(map(len, stop), default=1) - 1
        self._tail = ""  # decoded text in which a stop string may have begun
        self._context = 0  # first token of the last complete piece
        self._done = 0  # tokens whose text is complete

    def found(self, tokens: Sequence[int]) -> bool:
        """Whether the newest of all tokens so far completes a stop string."""
        if not self._stop:
            return False
        before = decode(self._tokenizer, tokens[self._context : self._done])
        piece = decode(self._tokenizer, tokens[self._context :])[len(before) :]
        text = self._tail + piece
        if piece and not piece.endswith(_UNFINISHED):
            self._context, self._done = self._done, len(tokens)
            self._tail = text[len(text) - self._n_kept :] if len(text) > self._n_kept else text
        return any(string in text for string in self._stop)


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the first stop string in it."""
    return text[: min((text.find(string) for string in stop if string in text), default=None)]


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Return the text of tokens as it is, without special tokens."""
    text: str = tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text
