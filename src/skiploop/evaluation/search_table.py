"""What a search with the gold answer found, and what as many random programs find by chance.

Everything here but `base` has looked at the gold answer: it says that a right program exists
among those tried, not that anybody could have chosen it.

Source: arXiv 2606.06574, Table 1 (Base, Skip, Loop, Skip & Loop) and section 4 (shares of right
and wrong answers); the chance control is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skiploop.errors import DataError
from skiploop.programs.program import Program
from skiploop.stats import Paired, Share

Tried = Sequence[tuple[Program, bool | None]]
"""Programs and their verdicts, in the order in which they were evaluated."""


@dataclass(frozen=True)
class SearchOutcome:
    """All programs evaluated for one question.

    Attributes:
        example_id: The question.
        search: What the search evaluated, the identity first.
        control: Random programs, as many as the search tried besides the identity; empty if no
            control was run.
        group: The `Example.group` of the question; it is its own if empty.
    """

    example_id: str
    search: Tried
    control: Tried = ()
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class ChanceControl:
    """What random programs find with the same number of evaluations.

    Where a small program space held fewer random programs than searched ones, both sides are cut
    to the shorter list, in the order in which they were evaluated.

    Attributes:
        n_evaluations: Random programs counted, over all questions.
        random_oracle: Questions that at least one of the random programs answers right.
        base_or_random_oracle: Questions that the identity or one of the random programs answers
            right: as many evaluations as the search, which starts with the identity, too.
        search_against_random: The search (first) against `base_or_random_oracle` (second).
    """

    n_evaluations: int
    random_oracle: Share
    base_or_random_oracle: Share
    search_against_random: Paired


@dataclass(frozen=True, kw_only=True)
class SearchTable:
    """The search's table over all questions whose base answer could be graded.

    A question with an ungraded base answer is left out everywhere, so that all shares have the
    same questions below the line. Any other program without a verdict counts as not tried.

    Attributes:
        n_ungraded_examples: Questions left out.
        n_evaluations: Programs evaluated by the search, over the questions that are left.
        n_ungraded_evaluations: Those of them without a verdict.
        base: Questions that the identity answers right.
        skip_oracle: Questions that the identity or a program that only skips answers right.
        loop_oracle: Questions that the identity or a program that only repeats answers right.
        skip_and_loop_oracle: Questions that any evaluated program answers right.
        base_right_shorter_oracle: Of the base-right questions, those that a program with fewer
            layers than the model answers right as well.
        base_wrong_fixed_oracle: Of the base-wrong questions, those that any program answers right.
        base_wrong_fixed_shorter_oracle: Of the base-wrong questions, those that a program with
            fewer layers than the model answers right.
        chance: The control, None if none was run.
    """

    n_ungraded_examples: int
    n_evaluations: int
    n_ungraded_evaluations: int
    base: Share
    skip_oracle: Share
    loop_oracle: Share
    skip_and_loop_oracle: Share
    base_right_shorter_oracle: Share
    base_wrong_fixed_oracle: Share
    base_wrong_fixed_shorter_oracle: Share
    chance: ChanceControl | None


def search_table(outcomes: Iterable[SearchOutcome]) -> SearchTable:
    """Return the table of one search, whose outcomes are one a question.

    Raises:
        DataError: A question comes twice, its search does not start with the identity, or it has
            no random program while others have.
    """
    outcomes = list(outcomes)
    _check(outcomes)
    graded = [o for o in outcomes if _base(o) is not None]
    searched = [verdict for o in graded for _, verdict in o.search]
    right = [o for o in graded if _base(o)]
    wrong = [o for o in graded if not _base(o)]
    return SearchTable(
        n_ungraded_examples=len(outcomes) - len(graded),
        n_evaluations=len(searched),
        n_ungraded_evaluations=searched.count(None),
        base=Share.of(_base(o) for o in graded),
        skip_oracle=Share.of(_solved(o.search, {"identity", "skip"}) for o in graded),
        loop_oracle=Share.of(_solved(o.search, {"identity", "loop"}) for o in graded),
        skip_and_loop_oracle=Share.of(_any_right(o.search) for o in graded),
        base_right_shorter_oracle=Share.of(_solved_shorter(o.search) for o in right),
        base_wrong_fixed_oracle=Share.of(_any_right(o.search) for o in wrong),
        base_wrong_fixed_shorter_oracle=Share.of(_solved_shorter(o.search) for o in wrong),
        chance=_chance(graded) if any(o.control for o in outcomes) else None,
    )


def _chance(graded: Sequence[SearchOutcome]) -> ChanceControl:
    sizes = [min(len(o.search) - 1, len(o.control)) for o in graded]
    sized = list(zip(graded, sizes, strict=True))
    searched = [_any_right(o.search[: n + 1]) for o, n in sized]
    random = [_any_right(o.control[:n]) for o, n in sized]
    base_or_random = [bool(_base(o)) or found for o, found in zip(graded, random, strict=True)]
    return ChanceControl(
        n_evaluations=sum(sizes),
        random_oracle=Share.of(random),
        base_or_random_oracle=Share.of(base_or_random),
        search_against_random=Paired.of(
            zip(searched, base_or_random, strict=True), [o.group or o.example_id for o in graded]
        ),
    )


def _check(outcomes: Sequence[SearchOutcome]) -> None:
    seen: set[str] = set()
    has_control = any(o.control for o in outcomes)
    for outcome in outcomes:
        name = f"question {outcome.example_id!r}"
        if outcome.example_id in seen:
            raise DataError(f"{name} comes twice in the search: give every question once")
        seen.add(outcome.example_id)
        if not outcome.search or not outcome.search[0][0].is_identity:
            raise DataError(
                f"the search of {name} does not start with the identity: no base answer"
            )
        if has_control and len(outcome.search) > 1 and not outcome.control:
            raise DataError(
                f"{name} has no random programs, others have: finish the chance control"
            )


def _base(outcome: SearchOutcome) -> bool | None:
    return outcome.search[0][1]


def _any_right(tried: Tried) -> bool:
    return any(verdict is True for _, verdict in tried)


def _solved(tried: Tried, kinds: set[str]) -> bool:
    return _any_right([(program, verdict) for program, verdict in tried if program.kind in kinds])


def _solved_shorter(tried: Tried) -> bool:
    return _any_right([(p, verdict) for p, verdict in tried if p.n_slots < p.n_layers])
