"""Tokens -> text: all that a row has written, and what of it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import takewhile

from transformers import PreTrainedTokenizerBase

UNFINISHED = "\ufffd"  # what a part of a character decodes to
_STRAY_BYTE = "<0x80>"  # SentencePiece reads bytes before it as parts of a character, too


class Reader:
    """Reads tokens as the text that goes on from a prompt.

    What is *written* holds special tokens, and the space that SentencePiece puts before the first
    word; stop strings are looked for there. What is *shown* has neither, nor the tokens that end a
    row.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, end_tokens: frozenset[int] = frozenset()
    ) -> None:
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        # The first token of a text may lose its space, so another text comes first.
        self._before: list[int] = tokenizer("a", add_special_tokens=False)["input_ids"]
        self._n_before = len(self._decode(self._before))
        self._shown_before = decode(tokenizer, self._before)
        self._stray_byte = tokenizer.get_vocab().get(_STRAY_BYTE)
        self._hidden: dict[int, bool] = {}
        self._lost: dict[int, int] = {}

    def written(self, tokens: Sequence[int]) -> str:
        """Return all that some tokens write."""
        return self._decode([*self._before, *tokens])[self._n_before :]

    def lasting(self, tokens: Sequence[int]) -> str:
        """Return what some tokens write, as far as it stays so whatever follows."""
        for place, token in enumerate(tokens):
            if self._is_hidden(token) and not self._is_whole(tokens[:place]):
                tokens = tokens[:place]  # what is not shown joins the bytes on both sides of it
                break
        text = self.written(tokens).rstrip(UNFINISHED)
        if self._stray_byte is None:
            return text
        pairs = zip(text, self.written([*tokens, self._stray_byte]), strict=False)
        return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    def written_alone(self, tokens: Iterable[int]) -> list[str]:
        """Return what each of some tokens writes."""
        texts: list[str] = self._tokenizer.batch_decode(
            [[*self._before, token] for token in tokens], clean_up_tokenization_spaces=False
        )
        return [text[self._n_before :] for text in texts]

    def shown(self, tokens: Sequence[int]) -> str:
        """Return what is shown of some tokens."""
        return decode(self._tokenizer, [t for t in tokens if t not in self._end_tokens])

    def shown_of(self, text: str, tokens: Sequence[int]) -> str:
        """Return what is shown of a text that is written by some tokens, or starts so."""
        visible = [token for token in tokens if not self._is_hidden(token)]
        if not visible:
            return ""
        shown, start = "", 0
        if len(visible) < len(tokens):
            for place in [i for i, token in enumerate(tokens) if self._is_hidden(token)]:
                shown += text[start : len(self.written(tokens[:place]))]
                start = len(self.written(tokens[: place + 1]))
        return (shown + text[start:])[self._n_lost(visible[0]) :]

    def _is_whole(self, tokens: Sequence[int]) -> bool:
        """Whether a byte that follows changes nothing of what some tokens write."""
        text = self.written(tokens)
        if self._stray_byte is None:
            return not text.endswith(UNFINISHED)
        return self.written([*tokens, self._stray_byte]).startswith(text)

    def _is_hidden(self, token: int) -> bool:
        """Whether a token is not shown after others."""
        if token not in self._hidden:
            after = decode(self._tokenizer, [*self._before, token])
            is_special = after == self._shown_before
            self._hidden[token] = is_special or token in self._end_tokens
        return self._hidden[token]

    def _n_lost(self, token: int) -> int:
        """Return how many characters a token loses at the start of a text."""
        if token not in self._lost:
            alone = decode(self._tokenizer, [token])
            self._lost[token] = max(0, len(self.written([token])) - len(alone))
        return self._lost[token]

    def _decode(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False)
        return text


def decode(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Return the text of tokens as it is, without special tokens."""
    text: str = tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text
