"""Which programs one search, predictor or random control may use, and how many there are.

Source: arXiv 2606.06574, sections 3.1 (segments of at most `max_block` layers, one operation
each) and B.2 (edits).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import NamedTuple, TypeVar

from skiploop.arguments import instance, listed, shown, whole_number
from skiploop.errors import ProgramError
from skiploop.programs.program import MAX_SLOTS, Program
from skiploop.programs.segment import Segment

_Item = TypeVar("_Item")

NO_LABEL = -100
"""The operation label of a layer at which no segment starts; losses ignore it."""


class Labels(NamedTuple):
    """A program as per-layer labels, the form in which PoLar trains its predictor.

    Attributes:
        boundaries: 1 where a segment of the canonical cover starts, else 0; layer 0 is always 0.
        runs: Passes over the segment that starts at a layer (0 skip, 1 keep, 2 repeat), layer 0
            included; `NO_LABEL` elsewhere.
    """

    boundaries: tuple[int, ...]
    runs: tuple[int, ...]


@dataclass(frozen=True)
class ProgramSpace:
    """All programs with repeated blocks of at most `max_block` layers and `max_runs` passes.

    A skipped run may be longer than `max_block`: it is several skipped blocks side by side. No loop
    is damped, no layer scaled.

    Attributes:
        n_layers: Layers of the model.
        max_block: Longest block that one edit skips or repeats (K_max in the paper).
        max_runs: Most passes over one block.

    Raises:
        ProgramError: A number is out of range.

    Example:
        >>> space = ProgramSpace(36)
        >>> len(space.edits(Program.identity(36))), space.count()
        (276, 12391325958993075200)
    """

    n_layers: int
    max_block: int = 4
    max_runs: int = 2

    def __post_init__(self) -> None:
        for name in ("n_layers", "max_block", "max_runs"):
            found = whole_number(
                name, vars(self)[name], at_least=1, at_most=MAX_SLOTS, error=ProgramError
            )
            object.__setattr__(self, name, found)

    def __contains__(self, program: object) -> bool:
        return (
            isinstance(program, Program)
            and program.n_layers == self.n_layers
            and all(
                edit.runs == 0
                or (
                    len(edit) <= self.max_block
                    and edit.runs <= self.max_runs
                    and edit.is_list_of_layers
                )
                for edit in program.edits
            )
        )

    @cached_property
    def single_edits(self) -> tuple[Segment, ...]:
        """Every edit of the plain model, by start, length and runs."""
        return tuple(
            Segment(start, stop, runs)
            for start in range(self.n_layers)
            for stop in range(start + 1, min(start + self.max_block, self.n_layers) + 1)
            for runs in self._edit_runs
            if runs or stop - start < self.n_layers
        )

    @property
    def _edit_runs(self) -> tuple[int, ...]:
        return (0, *range(2, self.max_runs + 1))

    def edits(self, program: Program) -> list[Segment]:
        """Return every legal further edit: blocks whose layers all run once in `program`.

        An edit that would leave nothing to run is not legal. Two orders of the same edits lead
        to the same program.
        """
        _check_program(program)
        edited = [False] * self.n_layers
        for edit in program.edits:
            edited[edit.start : edit.stop] = [True] * len(edit)
        n_slots = program.n_slots
        return [
            edit
            for edit in self.single_edits
            if not any(edited[edit.start : edit.stop]) and (edit.runs or len(edit) < n_slots)
        ]

    def n_edits(self, program: Program) -> int:
        """Return the least number of edits of at most `max_block` layers that make `program`."""
        _check_program(program)
        return sum(not segment.changes_nothing for segment in program.segments(self.max_block))

    def count(self, n_edits: int | None = None) -> int:
        """Return the exact number of programs, the identity included.

        Args:
            n_edits: Count only programs made by exactly that many edits.
        """
        if n_edits is None:
            return sum(self.count(k) for k in range(self.n_layers + 1))
        n_edits = whole_number("n_edits", n_edits, at_least=0, error=ProgramError)
        if n_edits > self.n_layers:
            return 0
        everything_skipped = -(-self.n_layers // self.max_block)
        return _n_endings(self, self.n_layers, n_edits, 1) - (n_edits == everything_skipped)

    def sample(self, seed: int, n_edits: int | None = None) -> Program:
        """Draw one program, each with the same probability.

        Args:
            seed: The same seed gives the same program.
            n_edits: Draw among the programs made by exactly that many edits.

        Raises:
            ProgramError: No program has that many edits.
        """
        seed = whole_number("seed", seed, error=ProgramError)
        if n_edits is not None and not self.count(n_edits):
            raise ProgramError(f"no program of {self} is made by exactly {shown(n_edits)} edits")
        rng = random.Random(seed)
        while True:
            drawn = self._draw_n_edits(rng) if n_edits is None else n_edits
            edits = self._draw_edits(rng, drawn)
            if sum(len(edit) for edit in edits if edit.runs == 0) < self.n_layers:
                return Program(self.n_layers, tuple(edits))

    def _draw_n_edits(self, rng: random.Random) -> int:
        choices = range(self.n_layers + 1)
        return _draw(rng, choices, [_n_endings(self, self.n_layers, k, 1) for k in choices])

    def _draw_edits(self, rng: random.Random, n_edits: int) -> list[Segment]:
        """Draw a program from left to right, the empty one included, each equally likely."""
        edits: list[Segment] = []
        layer, last_runs = 0, 1
        while layer < self.n_layers:
            n_left = self.n_layers - layer
            items = list(_items(self, n_left, n_edits, last_runs))
            ways = [
                _n_endings(self, n_left - length, n_edits - cost, runs)
                for length, runs, cost in items
            ]
            length, runs, cost = _draw(rng, items, ways)
            if runs != 1:
                edits.append(Segment(layer, layer + length, runs))
            layer, n_edits, last_runs = layer + length, n_edits - cost, runs
        return edits

    def labels(self, program: Program) -> Labels:
        """Return the training labels of a program.

        Raises:
            ProgramError: The program is not in this space.
        """
        if program not in self:
            raise ProgramError(
                f"program {shown(program)} is not in {self}: its labels would not decode"
            )
        boundaries = [0] * self.n_layers
        runs = [NO_LABEL] * self.n_layers
        for segment in program.segments(self.max_block):
            boundaries[segment.start] = int(segment.start > 0)
            runs[segment.start] = segment.runs
        return Labels(tuple(boundaries), tuple(runs))

    def from_labels(self, boundaries: Sequence[int], runs: Sequence[int]) -> Program:
        """Return the program of per-layer labels, the inverse of `labels`.

        Args:
            boundaries: One entry a layer, 1 where a segment starts; the first is not read.
            runs: One entry a layer, read where a segment starts.

        Raises:
            ProgramError: A length is wrong, a segment is too long or has no legal number of runs,
                or everything is skipped.
        """
        boundaries, runs = (
            [
                whole_number(f"{name}[{layer}]", label, error=ProgramError)
                for layer, label in enumerate(
                    listed(name, labels, of="numbers", error=ProgramError)
                )
            ]
            for name, labels in (("boundaries", boundaries), ("runs", runs))
        )
        if len(boundaries) != self.n_layers or len(runs) != self.n_layers:
            raise ProgramError(
                f"labels of {len(boundaries)} and {len(runs)} layers do not fit {self}"
            )
        starts = [0, *(i for i in range(1, self.n_layers) if boundaries[i])]
        segments = [
            Segment(start, stop, runs[start])
            for start, stop in zip(starts, [*starts[1:], self.n_layers], strict=True)
        ]
        for segment in segments:
            if len(segment) > self.max_block or segment.runs > self.max_runs:
                raise ProgramError(f"segment {segment} of the labels is not in {self}")
        return Program.from_segments(segments, self.n_layers)


def _check_program(program: object) -> None:
    expected = "a Program, such as Program.parse(text, n_layers)"
    instance("program", program, Program, expected=expected, error=ProgramError)


def _items(
    space: ProgramSpace, n_left: int, n_edits: int, last_runs: int
) -> Iterator[tuple[int, int, int]]:
    """Yield what can come next as (layers, runs, edits spent): a kept layer, a loop, a skip."""
    yield 1, 1, 0
    if n_edits:
        for length in range(1, min(space.max_block, n_left) + 1):
            for runs in range(2, space.max_runs + 1):
                yield length, runs, 1
    if last_runs:
        for length in range(1, min(n_edits * space.max_block, n_left) + 1):
            yield length, 0, -(-length // space.max_block)


@cache
def _n_endings(space: ProgramSpace, n_left: int, n_edits: int, last_runs: int) -> int:
    """Count the ways to fill the last `n_left` layers with exactly `n_edits` edits."""
    if n_left == 0:
        return int(n_edits == 0)
    return sum(
        _n_endings(space, n_left - length, n_edits - cost, runs)
        for length, runs, cost in _items(space, n_left, n_edits, last_runs)
    )


def _draw(rng: random.Random, items: Sequence[_Item], ways: list[int]) -> _Item:
    """Draw an item with probability proportional to `ways`, exactly, for integers of any size."""
    ticket = rng.randrange(sum(ways))
    for item, share in zip(items, ways, strict=True):
        if ticket < share:
            return item
        ticket -= share
    raise ValueError("there is nothing to draw from")
