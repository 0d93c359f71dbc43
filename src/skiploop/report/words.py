"""Single numbers in the words of all tables."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from skiploop.stats import Mean, Paired, Share

if TYPE_CHECKING:
    from skiploop.evaluation.shuffled_answers import ShuffledAnswers

NOTHING = "–"  # noqa: RUF001 - an en dash, the usual mark of an empty cell


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
