"""Who is told how far work on questions is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skiploop.trials.store import Trial

Progress = Callable[[Sequence[Trial]], None]
"""Is told about finished trials."""


class Tally:
    """Counts answers, and knows how many will come; this one does not look."""

    def __call__(self, trials: Sequence[Trial]) -> None:
        """Count finished trials; one that is asked for again counts once."""

    def count(self, n_answers: int) -> None:
        """Count finished answers that are no trials."""

    def expect(self, n_answers: int) -> None:
        """Note that so many further ones will come at most."""


UNWATCHED = Tally()
