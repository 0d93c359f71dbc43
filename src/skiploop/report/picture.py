"""A picture as marks on a plane, which a template draws: x to the right, y down, in pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from skiploop.report.render import render

_N_LABEL_CHARS = 36
_CHAR_WIDTH = 7.2


class Line(NamedTuple):
    """A line from one point to another; `style` is a class of `picture.css`."""

    style: str
    x1: float
    y1: float
    x2: float
    y2: float


class Dot(NamedTuple):
    """A small disc."""

    style: str
    x: float
    y: float


class Text(NamedTuple):
    """One line of text whose middle is at height `y`."""

    style: str
    x: float
    y: float
    text: str


@dataclass
class Picture:
    """Marks in a frame; lines are drawn first, then dots and texts.

    Attributes:
        title: Read by screen readers.
        width, height: Of the frame.
    """

    title: str
    width: float
    height: float
    lines: list[Line] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def svg(self) -> str:
        """Return the picture as an SVG file of its own, which follows light and dark."""
        return render("picture.svg", picture=self)


class Scale:
    """Places of values on an axis that ends at round numbers.

    Args:
        values: What is to be shown, at least one.
        start: Place of the lower end.
        stop: Place of the upper end; below `start` on an axis that goes up.

    Attributes:
        ticks: Round numbers from end to end.
    """

    def __init__(self, values: Sequence[float], start: float, stop: float) -> None:
        low, high = min(values), max(values)
        step = _round_step(((high - low) or abs(high) or 1.0) / 4)
        first, last = math.floor(low / step), math.ceil(high / step)
        if first == last:
            first, last = first - 1, last + 1
        self.ticks = [step * number for number in range(first, last + 1)]
        self._start, self._stop = start, stop

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        first, last = self.ticks[0], self.ticks[-1]
        share = (value - first) / (last - first)
        return round(self._start + (self._stop - self._start) * share, 1)


def apart(wanted: Sequence[float], gap: float, stop: float) -> list[float]:
    """Return places near those wanted, in the same order, of which no two are nearer than `gap`.

    Args:
        wanted: One place for each text.
        gap: Least distance.
        stop: No place is beyond this one.

    Example:
        >>> apart([10.0, 12.0, 60.0], gap=16, stop=60)
        [10.0, 26.0, 60.0]
        >>> apart([60.0, 58.0], gap=16, stop=60)
        [60, 44]
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    places = list(wanted)
    for before, now in pairwise(order):
        places[now] = max(places[now], places[before] + gap)
    for now in reversed(order):
        places[now] = min(places[now], stop)
        stop = places[now] - gap
    return places


def shortened(label: str) -> str:
    """Return a label of at most 36 characters."""
    return label if len(label) <= _N_LABEL_CHARS else label[: _N_LABEL_CHARS - 1] + "…"


def width_of(labels: Sequence[str]) -> float:
    """Return the room that the longest of some labels needs."""
    return round(_CHAR_WIDTH * max(map(len, labels)), 1)


def _round_step(step: float) -> float:
    """Return a step that is not smaller: 1, 2, 2.5, 5 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    least = step * (1 - 1e-9)  # rounding makes no larger step
    return next(power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= least)
