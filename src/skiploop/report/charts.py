"""The picture of shares against a cost, for the README and for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from skiploop.report.picture import Dot, Line, Picture, Scale, Text, apart, shortened, width_of
from skiploop.stats import Share

Look = Literal["chosen", "plain"]

_LABEL_GAP = 16
_TOP, _LEFT, _RIGHT, _BOTTOM = 14, 56, 436, 244  # ends of the axes
_LEGEND = 52  # room below for ticks and the name of the axis


@dataclass(frozen=True)
class CostPoint:
    """One dot of a cost chart.

    Attributes:
        label: Text to the right of the plot, with a line to the dot.
        cost: How far to the right.
        share: How high, with its interval.
        look: `plain` for the plain model, which has a colour of its own.
    """

    label: str
    cost: float
    share: Share
    look: Look = "chosen"


def cost_chart(points: Sequence[CostPoint], title: str, axis: str) -> Picture | None:
    """Return one dot a policy that has a share: its cost to the right, its share upwards.

    Returns:
        None if no point has a share.
    """
    shown = [
        (p, 100 * p.share.value, [100 * bound for bound in p.share.interval])
        for p in points
        if p.share.interval is not None and p.share.value is not None
    ]
    if not shown:
        return None
    labels = [shortened(p.label) for p, _, _ in shown]
    bottom = max(_BOTTOM, _TOP + _LABEL_GAP * len(shown))
    x_of = Scale([p.cost for p, _, _ in shown], _LEFT, _RIGHT)
    y_of = Scale([bound for _, _, interval in shown for bound in interval], bottom, _TOP)
    label_x = _RIGHT + 40
    picture = _plot(title, axis, x_of, y_of, right=label_x + width_of(labels))
    places = apart([y_of(value) for _, value, _ in shown], _LABEL_GAP, bottom)
    for (point, value, interval), label, place in zip(shown, labels, places, strict=True):
        x, y = x_of(point.cost), y_of(value)
        picture.lines.append(Line("leader", x, y, label_x - 6, place))
        picture.texts.append(Text("", label_x, place, label))
        low, high = map(y_of, interval)
        picture.lines.append(Line(f"range {point.look}", x, low, x, high))
        picture.dots.append(Dot(f"dot {point.look}", x, y))
    return picture


def _plot(title: str, axis: str, x_of: Scale, y_of: Scale, *, right: float) -> Picture:
    """Return an empty plot with its axes: shares upwards, and to the right what `axis` says."""
    bottom = y_of(y_of.ticks[0])
    picture = Picture(title, right, bottom + _LEGEND)
    for tick in y_of.ticks:
        picture.lines.append(Line("grid", _LEFT, y_of(tick), _RIGHT, y_of(tick)))
        picture.texts.append(Text("end", _LEFT - 8, y_of(tick), f"{tick:g} %"))
    picture.lines.append(Line("axis", _LEFT, bottom, _RIGHT, bottom))
    for tick in x_of.ticks:
        picture.texts.append(Text("mid", x_of(tick), bottom + 16, f"{tick:g}"))
    picture.texts.append(Text("mid", (_LEFT + _RIGHT) / 2, bottom + 38, axis))
    return picture
