"""Single numbers in the words of all tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skiploop.programs.program import Program
from skiploop.stats import Mean, Paired, Share

if TYPE_CHECKING:
    from skiploop.evaluation.shuffled_answers import ShuffledAnswers

NOTHING = "–"  # noqa: RUF001 - an en dash, the usual mark of an empty cell

MOST_EDITS = 3
"""Edits of a program that a table shows, where there are more than one more."""


def percent(value: float | None) -> str:
    """Return a share in percent with one decimal."""
    return NOTHING if value is None else f"{100 * value:.1f}"


def share_words(share: Share | ShuffledAnswers | Mean) -> str:
    """Return a share in percent with its interval."""
    if share.interval is None:
        return NOTHING
    low, high = share.interval
    return f"{percent(share.value)} ({percent(low)} to {percent(high)})"


def points_words(mean: Mean | None) -> str:
    """Return a mean difference of shares in points with its interval."""
    if mean is None:
        return NOTHING
    if not math.isfinite(mean.error):
        return f"{100 * mean.value:+.1f}"
    low, high = mean.interval
    return f"{100 * mean.value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def paired_words(paired: Paired | None) -> str:
    """Return a difference in points with the two counts behind it."""
    if paired is None or paired.difference is None:
        return NOTHING
    return f"{100 * paired.difference:+.1f} ({paired.only_first} / {paired.only_second})"


def p_words(p: float | None) -> str:
    """Return a p-value with three decimals."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def ratio_words(ratio: float | None, spread: float | None = None) -> str:
    """Return a ratio with two decimals, and how far it may be off if that is known."""
    if ratio is None:
        return NOTHING
    return f"{ratio:.2f} ± {spread:.2f}" if spread else f"{ratio:.2f}"


def program_words(program: Program) -> str:
    """Return a program's text; of one with many edits the first ones, and how many follow.

    Example:
        >>> program_words(Program.parse("4:5x1*0.9 5:6x1*1.2 6:7x1*0.8 7:8x1*1.1 8:9x0", 10))
        '4:5x1*0.9 5:6x1*1.2 6:7x1*0.8 and 2 more'
    """
    n_more = len(program.edits) - MOST_EDITS
    if n_more <= 1:
        return str(program)
    return f"{' '.join(map(str, program.edits[:MOST_EDITS]))} and {n_more} more"


def duration(seconds: float) -> str:
    """Return a time in words.

    Example:
        >>> duration(40), duration(600), duration(9000)
        ('40 s', '10 min', '2 h 30 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
