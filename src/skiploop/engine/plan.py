"""How a schedule moves tensors: which states each call is given, and which rows of everything else.

Shapes: S token sequences, C cells of a call, R rows, T tokens, D hidden size.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache

from skiploop.engine.calling import Place
from skiploop.engine.schedule import Call, Schedule
from skiploop.errors import UnsupportedModelError


class Piece(NamedTuple):
    """Some of the states that one call has computed.

    Attributes:
        output: Number of the call plus one; 0 are the embeddings.
        cells: Which of its cells, as positions; None for all of them in order.
    """

    output: int
    cells: Tensor | None


class Picked(NamedTuple):
    """The states of some cells.

    Attributes:
        pieces: All of them, without repeats, in the order of the calls.
        order: The place of each cell among them; None if they are in order.
    """

    pieces: list[Piece]
    order: Tensor | None


class Blending(NamedTuple):
    """Cells of one call that are given mixes with the same weights.

    Attributes:
        cells: Which, as positions.
        terms: States, one for each of these cells, and the weight of each.
    """

    cells: Tensor
    terms: list[tuple[Picked, float]]


class Step(NamedTuple):
    """What one call needs.

    Attributes:
        inputs: The states of the parents of its cells, in their order.
        blendings: What some cells are given in place of these.
        sources: The token sequence of each cell; None where arguments fit as they are.
        last_uses: Outputs that no later call needs.
    """

    inputs: list[Piece]
    blendings: list[Blending]
    sources: Tensor | None
    last_uses: list[int]


@dataclass(frozen=True)
class Plan:
    """A schedule in tensors.

    Attributes:
        steps: One for each call.
        leaves: The final states of the rows.
    """

    steps: list[Step]
    leaves: Picked


def make_plan(schedule: Schedule, device: torch.device) -> Plan:
    """Return what each call of a schedule needs."""
    drawing = _Drawing(schedule, device)
    last_use = drawing.last_use()
    tensors: dict[tuple[int, ...], Tensor] = {}
    steps = []
    for index, call in enumerate(schedule.calls):
        sources = schedule.sources[call.start : call.stop]
        fit = sources == tuple(range(schedule.n_sources))
        if not fit and sources not in tensors:
            tensors[sources] = torch.tensor(sources, device=device)
        steps.append(
            Step(
                inputs=drawing.pieces(schedule.parents[call.start : call.stop]),
                blendings=drawing.blendings(call),
                sources=None if fit else tensors[sources],
                last_uses=[output for output, last in last_use.items() if last == index],
            )
        )
    return Plan(steps, drawing.picked(schedule.leaves))


class _Drawing:
    """Knows which call computes each cell of a schedule."""

    def __init__(self, schedule: Schedule, device: torch.device) -> None:
        self.schedule = schedule
        self.device = device
        self.starts = [0, *(call.start for call in schedule.calls), len(schedule.parents)]
        self.output_of = [
            output
            for output, (start, stop) in enumerate(itertools.pairwise(self.starts))
            for _ in range(start, stop)
        ]

    def pieces(self, cells: Sequence[int]) -> list[Piece]:
        """Group ascending cells by the call that computes them."""
        found: dict[int, list[int]] = {}
        for cell in cells:
            output = self.output_of[cell]
            found.setdefault(output, []).append(cell - self.starts[output])
        return [
            Piece(output, None)
            if positions == list(range(self.starts[output + 1] - self.starts[output]))
            else Piece(output, torch.tensor(positions, device=self.device))
            for output, positions in found.items()
        ]

    def picked(self, cells: Sequence[int]) -> Picked:
        """Return where cells in any order are."""
        ordered = sorted(set(cells))
        place = {cell: position for position, cell in enumerate(ordered)}
        order = [place[cell] for cell in cells]
        is_in_order = order == list(range(len(order)))
        places = None if is_in_order else torch.tensor(order, device=self.device)
        return Picked(self.pieces(ordered), places)

    def blendings(self, call: Call) -> list[Blending]:
        """Group the blended cells of a call by their weights."""
        blends = self.schedule.blends
        alike: dict[tuple[float, ...], list[int]] = {}
        for cell in range(call.start, call.stop) if blends else ():
            if cell in blends:
                alike.setdefault(tuple(weight for _, weight in blends[cell]), []).append(cell)
        return [
            Blending(
                torch.tensor([cell - call.start for cell in cells], device=self.device),
                [
                    (self.picked([blends[cell][term][0] for cell in cells]), weight)
                    for term, weight in enumerate(weights)
                ],
            )
            for weights, cells in alike.items()
        ]

    def last_use(self) -> dict[int, int]:
        """Return the last call that needs each output; the leaves are needed after all of them."""
        schedule = self.schedule
        last = dict.fromkeys(range(len(self.starts) - 1), 0)
        for index, call in enumerate(schedule.calls):
            for cell in range(call.start, call.stop):
                last[self.output_of[schedule.parents[cell]]] = index
                for other, _ in schedule.blends.get(cell, ()):
                    last[self.output_of[other]] = index
        last.update({self.output_of[leaf]: len(schedule.calls) for leaf in schedule.leaves})
        return last


def gather(outputs: Sequence[Tensor], pieces: Sequence[Piece]) -> Tensor:
    """Return the states in some pieces, one after the other; no copy is made of a whole output."""
    parts = [
        outputs[output] if cells is None else outputs[output].index_select(0, cells)
        for output, cells in pieces
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def pick(outputs: Sequence[Tensor], picked: Picked) -> Tensor:
    """Return the states of some cells, in the order in which they were asked for."""
    states = gather(outputs, picked.pieces)
    return states if picked.order is None else states.index_select(0, picked.order)


def given(outputs: Sequence[Tensor], step: Step) -> Tensor:
    """Return what the cells of a call are given."""
    states_CTD = gather(outputs, step.inputs)
    for cells, terms in step.blendings:
        mixed = [weight * pick(outputs, picked) for picked, weight in terms]
        states_CTD = states_CTD.index_copy(0, cells, torch.stack(mixed).sum(0))
    return states_CTD


class Picker:
    """Takes the entries of some token sequences from everything that a layer is called with.

    Plain values, the cache, and tensors without entries for each sequence are shared by all.

    Args:
        n_sources: Token sequences of the batch.
    """

    def __init__(self, n_sources: int) -> None:
        self._n_sources = n_sources
        self._done: dict[tuple[int, int], Tensor] = {}

    def pick(
        self,
        value: object,
        sources: Tensor,
        rows: Mapping[Place, int | None],
        place: Place = (),
    ) -> Any:  # noqa: ANN401  as many types as families
        """Return the entries of a tensor, or of the tensors in tuples, lists and dicts.

        Args:
            value: An argument, or all of them.
            sources: The sequences that are wanted.
            rows: Which dimension has entries, by the place of a tensor.
            place: Where `value` is.

        Raises:
            UnsupportedModelError: A value has entries that cannot be told apart.
        """
        if isinstance(value, Tensor):
            dimension = rows[place] if place in rows else _first(value, self._n_sources)
            return value if dimension is None else self._taken(value, sources, dimension)
        if type(value) is tuple or type(value) is list:
            return type(value)(
                self.pick(item, sources, rows, (*place, index)) for index, item in enumerate(value)
            )
        if type(value) is dict:
            return {
                name: self.pick(item, sources, rows, (*place, name)) for name, item in value.items()
            }
        if value is None or isinstance(value, Cache | bool | int | float | str):
            return value
        if isinstance(value, Mapping) and not value:
            return value
        raise _inseparable(value, self._n_sources)

    def _taken(self, value: Tensor, sources: Tensor, dimension: int) -> Tensor:
        """Return the entries of some sequences, in a dimension that may hold several of each."""
        n_each, rest = divmod(value.shape[dimension], self._n_sources)
        if rest:
            raise _inseparable(value, self._n_sources)
        key = id(value), id(sources)
        if key not in self._done:
            apart = value.unflatten(dimension, (self._n_sources, n_each))
            if self._n_sources == 1:
                sizes = list(apart.shape)
                sizes[dimension] = len(sources)
                apart = apart.expand(sizes)
            else:
                apart = apart.index_select(dimension, sources)
            self._done[key] = apart.flatten(dimension, dimension + 1)
        return self._done[key]


def _first(value: Tensor, n_sources: int) -> int | None:
    """Return the dimension with entries of a tensor that was not there when this was found out."""
    if value.ndim < 2 or len(value) == 1:
        return None
    if len(value) == n_sources:
        return 0
    raise _inseparable(value, n_sources)


def _inseparable(value: object, n_sources: int) -> UnsupportedModelError:
    what = type(value).__name__
    if isinstance(value, Tensor):
        what += f" of shape {list(value.shape)}"
    return UnsupportedModelError(
        f"layers are called with a {what}, which cannot be split into {n_sources} rows: "
        "give all rows the same program, or load the model with attn_implementation='sdpa'"
    )
