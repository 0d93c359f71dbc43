"""What is shown of stages that run one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from skiploop.cli.console import INTERRUPT, EpochProgress, TrialProgress, say

if TYPE_CHECKING:
    from skiploop.cli.console import Bar
    from skiploop.policies.polar.checkpoint import Metrics


class Watch:
    """Says what begins, and shows how far it is.

    Attributes:
        stages: What was counted so far.
    """

    def __init__(self, bar: Bar) -> None:
        self.stages: list[TrialProgress | EpochProgress] = []
        self._bar = bar

    def trials(self, what: str) -> TrialProgress:
        """Return what is told about finished answers, and about how many will come."""
        self.begins(what)
        progress = TrialProgress(self._bar, what)
        self.stages.append(progress)
        return progress

    def epochs(self, n_epochs: int) -> Callable[[Metrics], None]:
        """Return what is told about finished epochs of a training."""
        self.begins("training")
        progress = EpochProgress(self._bar, n_epochs)
        self.stages.append(progress)
        return progress

    def begins(self, what: str) -> None:
        """Say what begins; Ctrl-C stops here, too."""
        INTERRUPT.check()
        say(what)
