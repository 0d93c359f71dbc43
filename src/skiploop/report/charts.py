"""Pictures of a report: shares with intervals, alone and against a cost; layers changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from skiploop.report.picture import (
    Bar,
    Dot,
    Line,
    Picture,
    Scale,
    Text,
    apart,
    shortened,
    width_of,
)
from skiploop.stats import Mean, Share

Look = Literal["chosen", "plain"]

_ROW = 26  # pixels from line to line of an interval chart
_LABEL_GAP = 16
_TOP, _LEFT, _RIGHT, _BOTTOM = 14, 56, 436, 244  # ends of the axes
_LEGEND = 52  # room below for ticks and the name of the axis

_BAR_STEP = 14
_BAR_WIDTH = 10
_HALF_HEIGHT = 64


@dataclass(frozen=True)
class IntervalRow:
    """One line of an interval chart.

    Attributes:
        label: Text on the left.
        share: The dot and its interval.
        reference: A second share, drawn as a ring.
        look: `plain` for the plain model, which has a colour of its own.
    """

    label: str
    share: Share
    reference: Share | None = None
    look: Look = "chosen"


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


def interval_chart(rows: Sequence[IntervalRow], title: str) -> Picture | None:
    """Return one share a line, on an axis from 0 to 100 %; None without a line."""
    if not rows:
        return None
    labels = [shortened(row.label) for row in rows]
    left = width_of(labels) + 24
    x_of = Scale([0, 100], left, left + _RIGHT - _LEFT)
    bottom = _ROW * len(rows)
    picture = Picture(title, x_of(100) + 70, bottom + 28)
    for tick in x_of.ticks:
        picture.lines.append(Line("grid", x_of(tick), 0, x_of(tick), bottom))
        picture.texts.append(Text("mid", x_of(tick), bottom + 14, f"{tick:g} %"))
    for number, (row, label) in enumerate(zip(rows, labels, strict=True)):
        y = _ROW * number + _ROW / 2
        picture.texts.append(Text("", 0, y, label))
        if row.share.value is not None and row.share.interval is not None:
            low, high = (x_of(100 * bound) for bound in row.share.interval)
            picture.lines.append(Line(f"range {row.look}", low, y, high, y))
            picture.dots.append(Dot(f"dot {row.look}", x_of(100 * row.share.value), y))
            picture.texts.append(Text("", x_of(100) + 14, y, f"{100 * row.share.value:.1f} %"))
        if row.reference and row.reference.value is not None:
            picture.dots.append(Dot("ring", x_of(100 * row.reference.value), y))
    return picture


def cost_chart(points: Sequence[CostPoint], title: str, axis: str) -> Picture | None:
    """Return one dot a policy: its cost to the right, its share upwards.

    Args:
        points: Those without a share are left out.
        title: Read by screen readers.
        axis: What the cost is.

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
        _add_dot(picture, (x, y), map(y_of, interval), point.look)
    return picture


def calibration_chart(
    points: Sequence[tuple[float, Share | Mean]], title: str, axis: str
) -> Picture | None:
    """Return expected shares to the right, true ones upwards, and a line of equals.

    Args:
        points: Expected and true shares; those of no answer are left out.
        title: Read by screen readers.
        axis: What was expected.

    Returns:
        None if there is nothing to show.
    """
    shown = [
        (100 * expected, 100 * share.value, [100 * bound for bound in share.interval])
        for expected, share in points
        if share.value is not None and share.interval is not None
    ]
    if not shown:
        return None
    bounds = [bound for expected, _, interval in shown for bound in (expected, *interval)]
    x_of, y_of = Scale(bounds, _LEFT, _RIGHT), Scale(bounds, _BOTTOM, _TOP)
    picture = _plot(title, axis, x_of, y_of, right=_RIGHT + 24, unit=" %")
    low, high = x_of.ticks[0], x_of.ticks[-1]
    picture.lines.append(Line("axis", x_of(low), y_of(low), x_of(high), y_of(high)))
    for expected, value, interval in shown:
        _add_dot(picture, (x_of(expected), y_of(value)), map(y_of, interval))
    return picture


def curve_chart(shares: Sequence[float], title: str, axis: str) -> Picture | None:
    """Return a line from share to share.

    Args:
        shares: For 1, 2, 3, ... on the axis.
        title: Read by screen readers.
        axis: What is counted.

    Returns:
        None for fewer than two.
    """
    if len(shares) < 2:
        return None
    x_of = Scale([1, len(shares)], _LEFT, _RIGHT)
    y_of = Scale([100 * share for share in shares], _BOTTOM, _TOP)
    picture = _plot(title, axis, x_of, y_of, right=_RIGHT + 24)
    dots = [Dot("dot chosen", x_of(n), y_of(100 * share)) for n, share in enumerate(shares, 1)]
    for one, other in pairwise(dots):
        picture.lines.append(Line("range chosen", one.x, one.y, other.x, other.y))
    picture.dots += dots
    return picture


def layer_chart(
    n_repeated: Sequence[int], n_skipped: Sequence[int], n_examples: int, title: str
) -> Picture:
    """Return one column a layer: repeated upwards, skipped downwards.

    Args:
        n_repeated: By layer, questions whose program runs it more than once.
        n_skipped: By layer, questions whose program skips it.
        n_examples: Questions in all.
        title: Read by screen readers.
    """
    largest = max(*n_repeated, *n_skipped, 1)
    right = _LEFT + _BAR_STEP * len(n_skipped) + 8
    middle = _TOP + _HALF_HEIGHT
    bottom = middle + _HALF_HEIGHT
    picture = Picture(title, right, bottom + 28)
    for y in (_TOP, bottom):
        picture.lines.append(Line("grid", _LEFT, y, right, y))
        picture.texts.append(Text("end", _LEFT - 8, y, f"{100 * largest / n_examples:.0f} %"))
    picture.lines.append(Line("axis", _LEFT, middle, right, middle))
    for layer, (repeated, skipped) in enumerate(zip(n_repeated, n_skipped, strict=True)):
        x = _LEFT + _BAR_STEP * layer + (_BAR_STEP - _BAR_WIDTH) // 2
        up = round(_HALF_HEIGHT * repeated / largest, 1)
        down = round(_HALF_HEIGHT * skipped / largest, 1)
        if up:
            words = f"layer {layer}: repeated for {repeated} questions"
            picture.bars.append(Bar("loop", x, round(middle - up, 1), _BAR_WIDTH, up, words))
        if down:
            words = f"layer {layer}: skipped for {skipped} questions"
            picture.bars.append(Bar("skip", x, middle, _BAR_WIDTH, down, words))
        if layer % 5 == 0:
            picture.texts.append(Text("mid", x + _BAR_WIDTH // 2, bottom + 14, str(layer)))
    return picture


def _plot(
    title: str, axis: str, x_of: Scale, y_of: Scale, *, right: float, unit: str = ""
) -> Picture:
    """Return an empty plot with its axes: shares upwards, and to the right what `axis` says."""
    bottom = y_of(y_of.ticks[0])
    picture = Picture(title, right, bottom + _LEGEND)
    for tick in y_of.ticks:
        picture.lines.append(Line("grid", _LEFT, y_of(tick), _RIGHT, y_of(tick)))
        picture.texts.append(Text("end", _LEFT - 8, y_of(tick), f"{tick:g} %"))
    picture.lines.append(Line("axis", _LEFT, bottom, _RIGHT, bottom))
    for tick in x_of.ticks:
        picture.texts.append(Text("mid", x_of(tick), bottom + 16, f"{tick:g}{unit}"))
    picture.texts.append(Text("mid", (_LEFT + _RIGHT) / 2, bottom + 38, axis))
    return picture


def _add_dot(
    picture: Picture,
    place: tuple[float, float],
    interval: Iterable[float],
    look: Look = "chosen",
) -> None:
    """Add a dot on the line of its interval."""
    x, y = place
    low, high = interval
    picture.lines.append(Line(f"range {look}", x, low, x, high))
    picture.dots.append(Dot(f"dot {look}", x, y))
