"""Pictures as SVG text: shares with intervals, alone and against a cost; layers changed.

Colours come from classes that the page's style sheet defines, so both follow light and dark.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from skiploop.stats import Mean, Share

_LABEL_WIDTH = 250
_PLOT_WIDTH = 330
_ROW_HEIGHT = 26
_N_LABEL_CHARS = 36

_BAR_STEP = 14
_BAR_WIDTH = 10
_HALF_HEIGHT = 64
_COST_HEIGHT = 230
_LEFT = 44


@dataclass(frozen=True)
class IntervalRow:
    """One line of an interval chart.

    Attributes:
        label: Text on the left.
        share: The dot and its interval.
        reference: A second share, drawn as a hollow diamond.
    """

    label: str
    share: Share
    reference: Share | None = None


@dataclass(frozen=True)
class CostPoint:
    """One dot of a cost chart.

    Attributes:
        label: Text next to it.
        cost: How far to the right.
        share: How high, with its interval.
    """

    label: str
    cost: float
    share: Share


def interval_chart(rows: Sequence[IntervalRow], title: str) -> str:
    """Return an SVG with one share a line, on an axis from 0 to 100 %."""
    height = _ROW_HEIGHT * len(rows)
    parts = []
    for quarter in range(5):
        x = _x(quarter / 4)
        parts.append(f'<line class="grid" x1="{x}" y1="0" x2="{x}" y2="{height}"/>')
        parts.append(f'<text class="mid" x="{x}" y="{height + 16}">{25 * quarter} %</text>')
    for index, row in enumerate(rows):
        parts += _interval_row(row, _ROW_HEIGHT * index + _ROW_HEIGHT // 2)
    return _svg(parts, _LABEL_WIDTH + _PLOT_WIDTH + 70, height + 24, title)


def cost_chart(points: Sequence[CostPoint], title: str, axis: str) -> str:
    """Return an SVG with one dot a policy: its cost to the right, its share upwards.

    Args:
        points: Those without a share are left out.
        title: Read by screen readers.
        axis: What the cost is.
    """
    shown = [
        (p, p.share.value, p.share.interval)
        for p in points
        if p.share.interval is not None and p.share.value is not None
    ]
    if not shown:
        return ""
    x_of = _scale([p.cost for p, _, _ in shown], _LEFT + 12, _LEFT + _PLOT_WIDTH)
    bounds = [bound for _, _, interval in shown for bound in interval]
    y_of = _scale(bounds, _COST_HEIGHT, 12)
    parts = _share_axis(bounds, y_of)
    for tick in _ticks([p.cost for p, _, _ in shown]):
        x = x_of(tick)
        parts.append(f'<text class="mid" x="{x}" y="{_COST_HEIGHT + 20}">{tick:.1f}</text>')
    for point, value, (low, high) in shown:
        x, y = x_of(point.cost), y_of(value)
        parts += _dot(x, y, y_of(low), y_of(high))
        parts.append(f'<text x="{x + 8}" y="{y - 4}">{escape(point.label)}</text>')
    return _plot(parts, title, axis)


def calibration_chart(points: Sequence[tuple[float, Share | Mean]], title: str, axis: str) -> str:
    """Return an SVG with expected shares to the right, true ones upwards, and a line of equals.

    Args:
        points: Expected and true shares, the latter of at least one answer each.
        title: Read by screen readers.
        axis: What was expected.
    """
    shown = [(expected, s.value, s.interval) for expected, s in points if s.value is not None]
    intervals = [interval for _, _, interval in shown if interval is not None]
    bounds = [*(expected for expected, _, _ in shown), *(b for pair in intervals for b in pair)]
    if not bounds:
        return ""
    x_of = _scale(bounds, _LEFT + 12, _LEFT + _PLOT_WIDTH)
    y_of = _scale(bounds, _COST_HEIGHT, 12)
    low, high = min(bounds), max(bounds)
    parts = _share_axis(bounds, y_of)
    parts.append(
        f'<line class="axis" x1="{x_of(low)}" y1="{y_of(low)}" '
        f'x2="{x_of(high)}" y2="{y_of(high)}"/>'
    )
    for tick in _ticks(bounds):
        text = f"{100 * tick:.1f} %"
        parts.append(f'<text class="mid" x="{x_of(tick)}" y="{_COST_HEIGHT + 20}">{text}</text>')
    for (expected, value, _), interval in zip(shown, intervals, strict=True):
        parts += _dot(x_of(expected), y_of(value), *map(y_of, interval))
    return _plot(parts, title, axis)


def curve_chart(shares: Sequence[float], title: str, axis: str) -> str:
    """Return an SVG with a line from share to share; nothing for fewer than two.

    Args:
        shares: For 1, 2, 3, ... on the axis.
        title: Read by screen readers.
        axis: What is counted.
    """
    if len(shares) < 2:
        return ""
    x_of = _scale([1, len(shares)], _LEFT + 12, _LEFT + _PLOT_WIDTH)
    y_of = _scale(shares, _COST_HEIGHT, 12)
    parts = _share_axis(shares, y_of)
    dots = [(x_of(number), y_of(share)) for number, share in enumerate(shares, 1)]
    line = " ".join(f"{x},{y}" for x, y in dots)
    parts.append(f'<polyline class="range" fill="none" points="{line}"/>')
    parts += [f'<circle class="dot" cx="{x}" cy="{y}" r="4"/>' for x, y in dots]
    for number in (1, len(shares)):
        parts.append(
            f'<text class="mid" x="{x_of(number)}" y="{_COST_HEIGHT + 20}">{number}</text>'
        )
    return _plot(parts, title, axis)


def layer_chart(
    n_repeated: Sequence[int], n_skipped: Sequence[int], n_examples: int, title: str
) -> str:
    """Return an SVG with one column a layer: repeated upwards, skipped downwards.

    Args:
        n_repeated: By layer, questions whose program runs it more than once.
        n_skipped: By layer, questions whose program skips it.
        n_examples: Questions in all.
        title: Read by screen readers.
    """
    largest = max(*n_repeated, *n_skipped, 1)
    width = _LEFT + _BAR_STEP * len(n_skipped) + 8
    axis = _HALF_HEIGHT + 12
    parts = [f'<line class="axis" x1="{_LEFT}" y1="{axis}" x2="{width}" y2="{axis}"/>']
    top = f"{100 * largest / n_examples:.0f} %"
    for y in (axis - _HALF_HEIGHT, axis + _HALF_HEIGHT):
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{width}" y2="{y}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4}">{top}</text>')
    for layer, (repeated, skipped) in enumerate(zip(n_repeated, n_skipped, strict=True)):
        x = _LEFT + _BAR_STEP * layer + (_BAR_STEP - _BAR_WIDTH) // 2
        up = round(_HALF_HEIGHT * repeated / largest, 1)
        down = round(_HALF_HEIGHT * skipped / largest, 1)
        looped_by = f"layer {layer}: repeated for {repeated} questions"
        skipped_by = f"layer {layer}: skipped for {skipped} questions"
        parts.append(_bar("loop", x, axis - up, up, looped_by))
        parts.append(_bar("skip", x, axis, down, skipped_by))
        if layer % 5 == 0:
            middle = x + _BAR_WIDTH // 2
            parts.append(
                f'<text class="mid" x="{middle}" y="{axis + _HALF_HEIGHT + 18}">{layer}</text>'
            )
    return _svg(parts, width, axis + _HALF_HEIGHT + 26, title)


def _dot(x: float, y: float, y_low: float, y_high: float) -> list[str]:
    """Return a dot on the line of its interval."""
    return [
        f'<line class="range" x1="{x}" y1="{y_low}" x2="{x}" y2="{y_high}"/>',
        f'<circle class="dot" cx="{x}" cy="{y}" r="4"/>',
    ]


def _share_axis(shares: Sequence[float], y_of: Callable[[float], float]) -> list[str]:
    """Return lines across the plot with a share next to each."""
    parts = []
    for tick in _ticks(shares):
        y = y_of(tick)
        parts += [
            f'<line class="grid" x1="{_LEFT}" y1="{y}" x2="{_LEFT + _PLOT_WIDTH}" y2="{y}"/>',
            f'<text class="end" x="{_LEFT - 6}" y="{y + 4}">{100 * tick:.1f} %</text>',
        ]
    return parts


def _plot(parts: Sequence[str], title: str, axis: str) -> str:
    """Return a plot of the common size with the name of what goes to the right."""
    middle = _LEFT + _PLOT_WIDTH // 2
    name = f'<text class="mid" x="{middle}" y="{_COST_HEIGHT + 40}">{escape(axis)}</text>'
    return _svg([*parts, name], _LEFT + _PLOT_WIDTH + 120, _COST_HEIGHT + 48, title)


def _scale(values: Sequence[float], start: int, stop: int) -> Callable[[float], float]:
    """Return a function that spreads the range of some values over some pixels."""
    low, width = min(values), (max(values) - min(values)) or 1.0
    return lambda value: round(start + (stop - start) * (value - low) / width, 1)


def _ticks(values: Sequence[float]) -> list[float]:
    low, high = min(values), max(values)
    return [low + (high - low) * n / 4 for n in range(5)] if high > low else [low]


def _interval_row(row: IntervalRow, y: int) -> list[str]:
    label = row.label
    if len(label) > _N_LABEL_CHARS:
        label = label[: _N_LABEL_CHARS - 1] + "…"
    parts = [f'<text x="0" y="{y + 4}">{escape(label)}</text>']
    value, interval = row.share.value, row.share.interval
    if value is not None and interval is not None:
        low, high = map(_x, interval)
        parts += [
            f'<line class="range" x1="{low}" y1="{y}" x2="{high}" y2="{y}"/>',
            f'<circle class="dot" cx="{_x(value)}" cy="{y}" r="5"/>',
            f'<text x="{_x(1) + 14}" y="{y + 4}">{100 * value:.1f} %</text>',
        ]
    if row.reference and row.reference.value is not None:
        x = _x(row.reference.value)
        parts.append(f'<path class="ref" d="M{x - 6} {y}l6 -6l6 6l-6 6z"/>')
    return parts


def _x(share: float) -> float:
    return round(_LABEL_WIDTH + _PLOT_WIDTH * share, 1)


def _bar(name: str, x: float, y: float, height: float, words: str) -> str:
    if not height:
        return ""
    return (
        f'<rect class="{name}" x="{x}" y="{round(y, 1)}" width="{_BAR_WIDTH}" height="{height}">'
        f"<title>{words}</title></rect>"
    )


def _svg(parts: Sequence[str], width: int, height: int, title: str) -> str:
    """Return the picture, which shrinks to a readable size and is scrolled beyond that."""
    size = f"min-width:{min(width, 560)}px;max-width:{width}px"
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {width} {height}" style="{size}" role="img">'
        f"<title>{escape(title)}</title>{body}</svg>"
    )
