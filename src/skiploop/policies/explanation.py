"""Why a policy chose a program: what it expected of the best ones, and what a gate asked for."""

from __future__ import annotations

from dataclasses import dataclass

from skiploop.programs.program import Program


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A program as a policy sees it for one prompt.

    Attributes:
        program: The program; its `n_slots` are what it costs in layer passes.
        score: What the policy expects of it.
        utility: By which programs are ranked: the score, less the cost of layer passes, and for
            the plain model with the margin that others have to bring.
    """

    program: Program
    score: float
    utility: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What a policy chose for one prompt, and why.

    Attributes:
        policy: Its name.
        score_is: What a score is, in words.
        candidates: The best programs, the chosen one first, then the runner-up.
        plain: The plain model; None where the policy says nothing of it.
        n_programs: How many programs it chose from; None where they have no end.
        layer_cost: Score that one layer pass must bring.
        margin: The plain model stays unless another program is better by more than this.
        is_far: Whether the prompt is far from all that the policy learned from, so that the plain
            model stays whatever is expected.
    """

    policy: str
    score_is: str
    candidates: tuple[Candidate, ...]
    plain: Candidate | None = None
    n_programs: int | None = None
    layer_cost: float = 0.0
    margin: float = 0.0
    is_far: bool = False

    @property
    def chosen(self) -> Candidate:
        """The program that the policy chose."""
        return self.candidates[0]

    @property
    def lead(self) -> float | None:
        """By how much utility the chosen program leads the runner-up; None if there is none."""
        if len(self.candidates) < 2:
            return None
        return self.chosen.utility - self.candidates[1].utility
