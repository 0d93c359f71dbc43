"""Segments: blocks of neighbouring layers and how often they run. No torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from skiploop.arguments import number, shown, whole_number
from skiploop.errors import ProgramError

_TEXT = re.compile(r"([0-9]+):([0-9]+)x([0-9]+)(?:~([0-9]+(?:\.[0-9]+)?))?")
_FIELDS = ("start", "stop", "runs")
_MOST = 10**9  # of any of them


@dataclass(frozen=True)
class Segment:
    """A block of neighbouring layers and how often it runs.

    Attributes:
        start: First layer of the block.
        stop: The layer after the last one, as in `range`.
        runs: Passes over the block: 0 skips it, 1 keeps it, 2 runs it twice.
        anchor: None for a plain loop, in which every pass goes on from the one before. A number
            from 0 to 1 makes the loop damped, see `programs.damping`: the larger it is, the more of
            the first pass stays; at 1 the model is the plain one.

    Raises:
        ProgramError: The block is empty, a number is negative or no int, or the anchor is out of
            range or of a block that does not run again.
    """

    start: int
    stop: int
    runs: int
    anchor: float | None = None

    def __post_init__(self) -> None:
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
        if self.anchor is None:
            return
        anchor = number("anchor of a segment", self.anchor, error=ProgramError)
        if not 0 <= anchor <= 1 or self.runs < 2:
            raise ProgramError(
                f"a segment with {self.runs} runs has anchor {anchor}: an anchor is a number from "
                "0 to 1, of a block that runs twice or more, such as 12:16x3~0.5"
            )
        object.__setattr__(self, "anchor", anchor)

    @classmethod
    def parse(cls, text: str) -> Segment:
        """Read START:STOPxRUNS or START:STOPxRUNS~ANCHOR, the inverse of `str()`.

        Raises:
            ProgramError: The text is something else, or no segment.
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if not match:
            raise ProgramError(f"{shown(text)} is not START:STOPxRUNS or START:STOPxRUNS~ANCHOR")
        start, stop, runs, anchor = match.groups()
        return cls(int(start), int(stop), int(runs), None if anchor is None else float(anchor))

    @classmethod
    def from_json(cls, data: object) -> Segment:
        """Read the form that `to_json` returns; unknown keys are refused."""
        if not isinstance(data, Mapping) or not set(_FIELDS) <= set(data) <= {*_FIELDS, "anchor"}:
            raise ProgramError(
                f"edit {shown(data)} must have exactly the keys {', '.join(_FIELDS)}, and anchor "
                "if it is damped"
            )
        if any(type(data[name]) is not int for name in _FIELDS):  # a bool is no number here
            raise ProgramError(f"edit {shown(data)}: every number must be an integer")
        if "anchor" in data and type(data["anchor"]) not in (int, float):
            raise ProgramError(f"edit {shown(data)}: the anchor must be a number")
        anchor = cast("float | None", data.get("anchor"))
        return cls(data["start"], data["stop"], data["runs"], anchor)

    def to_json(self) -> dict[str, object]:
        """Return plain data that `json.dumps` accepts; the inverse of `from_json`."""
        numbers: dict[str, object] = {name: vars(self)[name] for name in _FIELDS}
        return numbers if self.anchor is None else {**numbers, "anchor": self.anchor}

    def __str__(self) -> str:
        anchor = "" if self.anchor is None else f"~{Decimal(repr(self.anchor)).normalize():f}"
        return f"{self.start}:{self.stop}x{self.runs}{anchor}"

    def __len__(self) -> int:
        return self.stop - self.start

    def cut(self, max_block: int) -> Iterator[Segment]:
        """Yield this block in pieces of at most `max_block` layers, the remainder last."""
        for start in range(self.start, self.stop, max_block):
            yield Segment(start, min(start + max_block, self.stop), self.runs)
