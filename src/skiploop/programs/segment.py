"""Segments: blocks of neighbouring layers and how often they run. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal, cast

from skiploop.arguments import number, shown, whole_number
from skiploop.errors import ProgramError

MEAN: Final = "mean"
"""In place of an anchor: the states after a loop are the mean of those after its passes."""

Anchor = float | Literal["mean"]

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_TEXT = re.compile(rf"([0-9]+):([0-9]+)x([0-9]+)(?:~({_NUMBER}|mean))?(?:\*({_NUMBER}))?")
_FIELDS = ("start", "stop", "runs")
_OPTIONAL_FIELDS = ("anchor", "scale")
_MOST = 10**9  # of any of them

MOST_SCALE = 10.0
"""Most that what a layer adds may be multiplied by."""


@dataclass(frozen=True)
class Segment:
    """A block of neighbouring layers and how often it runs.

    Attributes:
        start: First layer of the block.
        stop: The layer after the last one, as in `range`.
        runs: Passes over the block: 0 skips it, 1 keeps it, 2 runs it twice.
        anchor: None for a plain loop, in which every pass goes on from the one before. A number
            from 0 to 1 makes the loop damped, see `programs.damping`: the larger it is, the more of
            the first pass stays; at 1 the model is the plain one. With `MEAN`, every pass goes on
            from the one before, and the next layer is given the mean of what they all lead to.
        scale: What every layer of the block adds to the states is multiplied by it, in every pass:
            `h + scale * (f(h) - h)`. 1 where nobody says another, which is the layer as it is; at
            0 it runs and adds nothing.

    Raises:
        ProgramError: The block is empty, a number is negative or no int, the anchor is out of
            range or of a block that does not run again, or the scale is out of range or of a block
            that is skipped.
    """

    start: int
    stop: int
    runs: int
    anchor: Anchor | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        scale = number("scale of a segment", self.scale, error=ProgramError) + 0.0  # no -0.0
        object.__setattr__(self, "scale", scale)
        for name in _FIELDS:
            found = whole_number(
                f"{name} of a segment", vars(self)[name], at_most=_MOST, error=ProgramError
            )
            object.__setattr__(self, name, found)
        if self.start < 0 or self.runs < 0 or self.stop <= self.start:
            raise ProgramError(
                f"segment {self} is empty or negative: "
                "write START:STOPxRUNS with 0 <= START < STOP and RUNS >= 0, such as 3:5x0"
            )
        self._check_anchor()
        if not 0 <= scale <= MOST_SCALE or (scale != 1 and not self.runs):
            raise ProgramError(
                f"a segment with {self.runs} runs has scale {scale:g}: a scale is a number from 0 "
                f"to {MOST_SCALE:g}, of a block that runs, such as 12:16x1*0.5"
            )

    def _check_anchor(self) -> None:
        if self.anchor is None:
            return
        is_mean = isinstance(self.anchor, str) and self.anchor == MEAN  # arrays compare to arrays
        if not is_mean:
            anchor = number("anchor of a segment", self.anchor, error=ProgramError)
            object.__setattr__(self, "anchor", anchor)
        in_range = is_mean or 0 <= cast("float", self.anchor) <= 1
        if not in_range or self.runs < 2:
            raise ProgramError(
                f"a segment with {self.runs} runs has anchor {self.anchor}: an anchor is a number "
                "from 0 to 1, or the word mean, of a block that runs twice or more, such as "
                "12:16x3~0.5"
            )

    @classmethod
    def parse(cls, text: str) -> Segment:
        """Read START:STOPxRUNS, START:STOPxRUNS~ANCHOR or either with *SCALE: reverses `str()`.

        Raises:
            ProgramError: The text is something else, or no segment.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ProgramError(
                f"{shown(text)} is not START:STOPxRUNS, which ~ANCHOR and *SCALE may follow"
            )
        start, stop, runs, anchor, scale = match.groups()
        return cls(int(start), int(stop), int(runs), _read(anchor), float(scale or 1))

    @classmethod
    def from_json(cls, data: object) -> Segment:
        """Read the form that `to_json` returns; unknown keys are refused."""
        known = {*_FIELDS, *_OPTIONAL_FIELDS}
        if not isinstance(data, Mapping) or not set(_FIELDS) <= set(data) <= known:
            raise ProgramError(
                f"edit {shown(data)} must have exactly the keys {', '.join(_FIELDS)}, and anchor "
                "if it is damped, scale if it is scaled"
            )
        if any(type(data[name]) is not int for name in _FIELDS):  # a bool is no number here
            raise ProgramError(f"edit {shown(data)}: every number must be an integer")
        is_number = type(data.get("anchor")) in (int, float)
        if "anchor" in data and not is_number and data["anchor"] != MEAN:
            raise ProgramError(f"edit {shown(data)}: the anchor must be a number, or 'mean'")
        anchor = cast("Anchor | None", data.get("anchor"))
        scale = data.get("scale", 1.0)
        if type(scale) not in (int, float):
            raise ProgramError(f"edit {shown(data)}: the scale must be a number")
        return cls(data["start"], data["stop"], data["runs"], anchor, scale)

    def to_json(self) -> dict[str, object]:
        """Return plain data that `json.dumps` accepts; the inverse of `from_json`."""
        found: dict[str, object] = {name: vars(self)[name] for name in _FIELDS}
        if self.anchor is not None:
            found["anchor"] = self.anchor
        if self.is_scaled:
            found["scale"] = self.scale
        return found

    def __str__(self) -> str:
        text = f"{self.start}:{self.stop}x{self.runs}"
        if self.anchor is not None:
            text += f"~{MEAN if self.anchor == MEAN else _written(self.anchor)}"
        return f"{text}*{_written(self.scale)}" if self.is_scaled else text

    @property
    def is_scaled(self) -> bool:
        """Whether its layers add more or less than they do in the plain model."""
        return self.scale != 1

    @property
    def is_list_of_layers(self) -> bool:
        """Whether it says no more than which layers run, each given what the one before returns."""
        return self.anchor is None and not self.is_scaled

    @property
    def changes_nothing(self) -> bool:
        """Whether its layers run once, as they are."""
        return self.runs == 1 and not self.is_scaled

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, max_block: int) -> Iterator[Segment]:
        """Yield this block in pieces of at most `max_block` layers, the remainder last."""
        for start in range(self.start, self.stop, max_block):
            yield replace(self, start=start, stop=min(start + max_block, self.stop))


def _read(anchor: str | None) -> Anchor | None:
    if anchor is None or anchor == MEAN:
        return cast("Anchor | None", anchor)
    return float(anchor)


def _written(number: float) -> str:
    """Return the shortest text of a number, without an exponent."""
    return f"{Decimal(repr(number)).normalize():f}"
