"""What holds for all rows of one call of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skiploop.arguments import (
    instance,
    one_for_each,
    shown,
    texts,
    whole_number,
    whole_numbers,
)
from skiploop.engine.cache.states import StateCache
from skiploop.engine.sampling import Sampling
from skiploop.errors import BatchError

MAX_NEW_TOKENS = 10_000_000
"""Most tokens of an answer: more is a typing error, not a wish."""

Decided = Callable[[int, str], bool]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How answers are written, and what helps to write them faster.

    Lists are taken as `skiploop.arguments` says: any iterable with an order, read once.

    Attributes:
        max_new_tokens: Most tokens to write.
        stop: Strings that end an answer, or `CLOSED_BOX`.
        sampling: How tokens are drawn; None for the most likely ones.
        seeds: One for each prompt; needed where tokens are drawn.
        drafts: For each prompt, a text that the model may write next. Greedy answers are checked
            against it in one pass; what they say does not depend on it.
        score_drafts: Whether completions get the log-probability of their draft with an end after
            it: an end token, or one that starts with a stop string.
        decided: Told the number of a prompt and what was written to where it leaves its draft.
            An answer for which it returns True ends there.
        saved: States to start from, and to add to; for calls that run programs on prompts that
            were run before. Rows that write more than their draft start from the prompt again.

    Raises:
        BatchError: The limit is below 1, a stop string is empty, there are seeds without
            sampling, or an argument is of another type.
    """

    max_new_tokens: int
    stop: Sequence[str] = ()
    sampling: Sampling | None = None
    seeds: Sequence[int] = ()
    drafts: Sequence[str] | None = None
    score_drafts: bool = False
    decided: Decided | None = None
    saved: StateCache | None = None

    def __post_init__(self) -> None:
        if self.sampling is not None:
            instance("sampling", self.sampling, Sampling, expected="a skiploop.Sampling, or None")
        if self.saved is not None:
            instance("saved", self.saved, StateCache, expected="StateCache, or None")
        if self.decided is not None and not callable(self.decided):
            raise BatchError(f"decided is {shown(self.decided)}: give a function, or None")
        instance("score_drafts", self.score_drafts, bool, expected="True or False")
        checked = {
            "max_new_tokens": whole_number(
                "max_new_tokens", self.max_new_tokens, at_least=1, at_most=MAX_NEW_TOKENS
            ),
            "stop": texts("stop", self.stop),
            "seeds": whole_numbers("seeds", self.seeds),
            "drafts": None if self.drafts is None else texts("drafts", self.drafts),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if "" in self.stop:
            raise BatchError(f"stop is {shown(list(self.stop))}: give no empty stop string")
        if self.seeds and self.sampling is None:
            raise BatchError("seeds are of random draws: give sampling too, or leave them out")

    def check(self, prompts: Sequence[str]) -> None:
        """Refuse lists that do not have one entry for each prompt.

        Raises:
            BatchError: There are too few or too many seeds or drafts.
        """
        if self.sampling:
            one_for_each(prompts, "seeds", self.seeds)
        if self.drafts is not None:
            one_for_each(prompts, "drafts", self.drafts)
