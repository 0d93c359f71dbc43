"""Why a policy chooses what it chooses."""

from __future__ import annotations

from dataclasses import dataclass

from skiploop.programs.program import Program


@dataclass(frozen=True, kw_only=True)
class Considered:
    """One program that could have been chosen.

    Attributes:
        program: The program.
        score: What is expected of it: of a selector the score, of a predictor the log-probability;
            None where nothing else was looked at.
        calibrated: What programs scored of which as much was expected; None where nobody counted.
        utility: What programs are ranked by: the score less the cost of the layer passes; the
            identity has the margin of the gate on top. None where there is no score.
    """

    program: Program
    score: float | None = None
    calibrated: float | None = None
    utility: float | None = None


@dataclass(frozen=True, kw_only=True)
class Why:
    """A choice for one prompt.

    Attributes:
        considered: The best first: the program chosen, then the runner-up and others.
        margin: By how much another program has to be better than the identity; None without a gate.
        layer_cost: Score that one layer pass must bring; None without a gate.
        is_far: Whether no question that was learned from is like this one, or of its category, so
            that the identity stays; its utility is infinite then.
    """

    considered: tuple[Considered, ...]
    margin: float | None = None
    layer_cost: float | None = None
    is_far: bool = False
