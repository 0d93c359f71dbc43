"""What holds for all rows of one call of the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from skiploop.engine.batch import check_texts
from skiploop.engine.sampling import Sampling
from skiploop.engine.saved import SavedStates
from skiploop.errors import BatchError

Settled = Callable[[int, str], bool]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How answers are written, and what helps to write them faster.

    Attributes:
        max_new_tokens: Most tokens to write.
        stop: Strings that end an answer, or `CLOSED_BOX`.
        sampling: How tokens are drawn; None for the most likely ones.
        seeds: One for each prompt; needed where tokens are drawn.
        drafts: For each prompt, a text that the model may write next. Greedy answers are checked
            against it in one pass; what they say does not depend on it.
        score_drafts: Whether completions get the log-probability of their draft with an end after
            it: an end token, or one that starts with a stop string.
        settled: Told the number of a prompt and what was written to where it leaves its draft.
            An answer for which it returns True ends there.
        saved: States to start from, and to add to; for calls that run programs on prompts that
            were run before. Rows that write more than their draft start from the prompt again.

    Raises:
        BatchError: The limit is below 1, or a stop string is empty.
    """

    max_new_tokens: int
    stop: Sequence[str] = ()
    sampling: Sampling | None = None
    seeds: Sequence[int] = ()
    drafts: Sequence[str] | None = None
    score_drafts: bool = False
    settled: Settled | None = None
    saved: SavedStates | None = None

    def __post_init__(self) -> None:
        check_texts(stop=self.stop)
        if self.max_new_tokens < 1 or "" in self.stop:
            raise BatchError(
                f"max_new_tokens={self.max_new_tokens}, stop={list(self.stop)}: "
                "allow at least one token, and give no empty stop string"
            )

    def check(self, n_prompts: int) -> None:
        """Refuse lists that do not have one entry for each prompt.

        Raises:
            BatchError: There are too few or too many seeds or drafts.
        """
        if self.sampling and len(self.seeds) != n_prompts:
            raise BatchError(f"{n_prompts} prompts but {len(self.seeds)} seeds: give one for each")
        if self.drafts is not None and len(self.drafts) != n_prompts:
            raise BatchError(
                f"{n_prompts} prompts but {len(self.drafts)} drafts: give one for each"
            )
