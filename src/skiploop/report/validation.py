"""What a selector is worth on questions that it had not learned from, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skiploop.evaluation.power import Judged, least_gain
from skiploop.report.words import p_words, paired_words
from skiploop.stats import SIGNIFICANCE

if TYPE_CHECKING:
    from skiploop.policies.selector.validation import Validation


def validation_lines(found: Validation, run: Path) -> list[str]:
    """Return whether a choice is shown to help, by which figures, and what to do next."""
    if not found.paired.total:
        return [
            "not shown to help, it keeps the plain model: all questions chose the menu, so none is "
            "left to judge the choice; build a menu with --limit above --race-questions"
        ]
    if found.is_shown_to_help:
        verdict = "shown to help"
        then = f"next: skiploop evaluate --run {run} --policy selector"
    else:
        verdict = f"not shown to help, it keeps the plain model for every prompt: {_why(found)}"
        then = f"what may help: {_advice(found)}"
    return [verdict, _figures(found), then]


def _why(found: Validation) -> str:
    if found.gain <= 0:
        return "it gained nothing on questions that it had not learned from"
    if found.p >= SIGNIFICANCE:
        return "what it gained on questions that it had not learned from may be chance"
    return "what it gained, one answer for all questions of a category may gain, too"


def _figures(found: Validation) -> str:
    beyond = found.beyond
    blind = (
        f"; where another program answers, {100 * beyond.value:+.1f} beyond what an answer given "
        f"whatever is asked would gain, p {p_words(beyond.p)}"
        if beyond
        else ""
    )
    return (
        f"on {found.paired.total} questions, each judged by what others before it taught, points "
        f"over the identity (fixed / broken): {paired_words(found.paired)}; with all right "
        f"answers of a category counting alike {100 * found.gain:+.1f}, p {p_words(found.p)}{blind}"
    )


def _advice(found: Validation) -> str:
    least = least_gain([Judged(found.paired.total)])
    seen = "no gain" if least is None else f"only a gain of {100 * least:.0f} points or more"
    return (
        f"more questions, as so many show {seen} four times of five, and twice as many half of it; "
        "questions that the plain model sometimes gets right; other programs, such as with "
        "--damping-anchor 0.5 (skiploop menu build --help)"
    )
