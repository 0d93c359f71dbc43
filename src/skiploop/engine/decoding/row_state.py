"""What a row has written, the rules by which it ends, and the completion that it becomes.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from skiploop.engine.batching.rows import Row
from skiploop.engine.completion import Completion, StoppedBy
from skiploop.engine.decoding.stop import StopFinder, cut, ending_tokens, without_part_of
from skiploop.engine.options import Options
from skiploop.engine.sampling import draw, most_likely

if TYPE_CHECKING:
    from skiploop.stack import LayerStack


class TokenColumn(NamedTuple):
    """One step of a batch.

    Attributes:
        rows: The prompts, by their numbers, that got a token.
        tokens_B: These tokens.
        logprobs_B: How likely the model found them, natural logarithm.
        finished: The rows that ended, by the numbers of their prompts.
    """

    rows: Sequence[int]
    tokens_B: Tensor
    logprobs_B: Tensor
    finished: dict[int, Completion]


@dataclass
class RowState:
    """What a row has written so far, and log-probabilities: of that, and of its draft.

    Attributes:
        row: What it runs.
        writer: The rules by which it goes on and ends.
        batch_shape: Of the pass that it goes on from: rows, and tokens of the longest one.
        tokens: Written so far.
        n_before: So many of them before the pass that checks its draft.
        logprob, draft_logprob: Natural logarithms.
    """

    row: Row
    writer: TokenWriter
    batch_shape: tuple[int, int]
    tokens: list[int] = field(default_factory=list)
    n_before: int = 0
    logprob: float = 0.0
    draft_logprob: float | None = None


class TokenWriter:
    """Chooses tokens and ends answers as the options of a call say."""

    def __init__(self, stack: LayerStack, options: Options) -> None:
        self.options = options
        self._tokenizer = stack.tokenizer
        self._finder = StopFinder(stack.tokenizer, options.stop, _end_tokens(stack))
        self._reader = self._finder.reader
        self._n_known = stack.n_embeddings

    def endings(self) -> Tensor:
        """Return the tokens that end an answer at once, whatever was written before."""
        stop = tuple(self.options.stop)
        tokens = ending_tokens(self._tokenizer, stop, self._finder.end_tokens)
        return tokens[tokens < self._n_known]

    def choose(
        self, logits_BV: Tensor, answers: Sequence[RowState], n_more: int = 0
    ) -> list[Tensor]:
        """Return the next token of each answer and its log-probability.

        The answers have got `n_more` tokens beyond those they hold.
        """
        if self.options.sampling is None:
            return list(most_likely(logits_BV))
        seeds = [answer.row.seed for answer in answers]
        n_written = [len(answer.tokens) + n_more for answer in answers]
        return list(draw(logits_BV, self.options.sampling, seeds, n_written))

    def may_end(self, tokens_B: Tensor, logprobs_B: Tensor) -> set[int]:
        """Return the rows that their newest token may end, apart from the limit of tokens."""
        tokens_B, is_nan_B = torch.stack([tokens_B, logprobs_B.isnan()]).cpu()  # one transfer
        return {*self._finder.watched(tokens_B), *is_nan_B.nonzero()[:, 0].tolist()}

    def append(self, answer: RowState, tokens: Sequence[int], logprobs: Sequence[float]) -> None:
        """Add tokens to an answer, none of which but the last can end it."""
        answer.tokens.extend(tokens)
        answer.logprob += sum(logprobs)
        if math.isnan(answer.logprob):
            answer.tokens.pop()

    def stopped_by(self, answer: RowState) -> StoppedBy | None:
        """Return by what the last token ended an answer, None if it goes on."""
        if math.isnan(answer.logprob):
            return "nan"
        if answer.tokens[-1] in self._finder.end_tokens:
            return "eos"
        if self._finder.has_stop(answer.tokens):
            return "stop"
        return "length" if len(answer.tokens) == self.options.max_new_tokens else None

    def is_decided(self, answer: RowState) -> bool:
        """Whether the caller needs no more of an answer.

        It is told only what is sure to stay: no part of a character, nor of a stop string.
        """
        decided = self.options.decided
        return decided is not None and decided(answer.row.index, self.sure_text(answer.tokens))

    def sure_text(self, tokens: Sequence[int]) -> str:
        """Return what is shown of an answer that goes on, as far as it is sure to stay.

        Without a part of a character, or of a stop string, at its end.
        """
        lasting = self._reader.lasting(tokens)
        return self._reader.shown_of(without_part_of(self.options.stop, lasting), tokens)

    def pieces(self, tokens: Sequence[int]) -> list[str]:
        """Return what each of some tokens writes by itself, special tokens included."""
        return self._reader.written_alone(tokens)

    def completion(self, answer: RowState, stopped_by: StoppedBy) -> Completion:
        """Return a finished answer."""
        return Completion(
            text=self._text(answer.tokens),
            token_ids=tuple(answer.tokens),
            logprob=answer.logprob,
            program=answer.row.program,
            stopped_by=stopped_by,
            batch_shape=answer.batch_shape,
            draft_logprob=answer.draft_logprob,
        )

    def _text(self, tokens: Sequence[int]) -> str:
        """Return what is shown of a finished answer."""
        if self.options.stop:
            written = self._reader.written(tokens)
            before = cut(written, self.options.stop)
            if len(before) < len(written):
                return self._reader.shown_of(before, tokens)
        return self._reader.shown(tokens)


def _end_tokens(stack: LayerStack) -> frozenset[int]:
    """Return the tokens that end an answer, as the model's own `generate` knows them."""
    ids = stack.model.generation_config.eos_token_id
    if ids is None:
        return frozenset()
    return frozenset([ids] if isinstance(ids, int) else ids)
