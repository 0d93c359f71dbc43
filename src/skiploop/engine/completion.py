"""What a model wrote for one prompt under one program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from skiploop.programs.program import Program

StoppedBy = Literal["stop", "eos", "length", "choice", "decided", "nan"]


@dataclass(frozen=True)
class Completion:
    """The answer of one row.

    Attributes:
        text: Decoded new tokens, without the stop string and what follows it.
        token_ids: New tokens in the order generated, the one that ended the row included.
        logprob: Sum of the log-probabilities of `token_ids`, natural logarithm, or that of the
            choice among all choices; not a number where `stopped_by` is `nan`.
        program: What the row ran.
        stopped_by: `stop` (a stop string), `eos` (an end token), `length` (the token limit),
            `choice` (picked by log-likelihood, nothing was generated), `decided` (the text is a
            beginning that no right answer has) or `nan` (the logits were not numbers: the text is
            what was written before and must not be graded).
        batch_shape: Rows of the batch that it ran in, and tokens of the longest one. In low
            precision the shape can change a token.
        draft_logprob: Log-probability of the draft that the row was given and an end after it;
            None where it was not asked for or the draft was not used.
        choice_logprobs: Log-probability of each choice, the choices being all there is; empty where
            there were none.
    """

    text: str
    token_ids: tuple[int, ...]
    logprob: float
    program: Program
    stopped_by: StoppedBy
    batch_shape: tuple[int, int]
    draft_logprob: float | None = None
    choice_logprobs: tuple[float, ...] = ()
