"""What the model's thread is asked for, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from skiploop.engine.completion import Completion
from skiploop.engine.options import Options
from skiploop.server.errors import ApiError
from skiploop.server.variants import Variant


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One answer that is wanted.

    Attributes:
        prompt: What the model continues.
        field: What the request calls it.
        variant: How it runs.
        options: How the answer is written; its limit is lowered to what there is room for if
            `is_shortened`.
        seed: Of random draws.
        is_shortened: Whether the client gave no limit of tokens.
        is_streamed: Whether the text is told as it comes.
        with_pieces: Whether the text of each token is told.
    """

    prompt: str
    field: str
    variant: Variant
    options: Options
    seed: int = 0
    is_shortened: bool = False
    is_streamed: bool = False
    with_pieces: bool = False


@dataclass(frozen=True)
class Written:
    """Some more of an answer.

    Attributes:
        text: What is sure to stay of it.
        pieces: What each new token writes, if that was asked for.
        logprobs: Log-probability of each new token.
    """

    text: str
    pieces: tuple[str, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class Ended:
    """The end of an answer.

    Attributes:
        last: What was not told before.
        completion: The whole.
        n_prompt_tokens: Of its prompt.
        choosing_s: Seconds in which its program was chosen, beside layers that run anyway.
    """

    last: Written
    completion: Completion
    n_prompt_tokens: int
    choosing_s: float


@dataclass(frozen=True)
class Failed:
    """There will be no answer."""

    error: ApiError


Event = Written | Ended | Failed
Tell = Callable[[int, Event], None]
"""Is told the place of an answer in its request, and what became of it; in the model's thread."""

Ticket = frozenset[int]
"""A request that was taken; give it back with `Scheduler.cancel`."""
