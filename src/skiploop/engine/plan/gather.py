"""How a schedule moves tensors: which states each call is given, and which rows of everything else.

Shapes: the letters of the engine (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import Cache

from skiploop.engine.plan.indices import on_device
from skiploop.engine.plan.schedule import Call, Numbers, Schedule
from skiploop.errors import UnsupportedModelError
from skiploop.programs.layer_pass import scale_of

Place = tuple[int | str, ...]
"""Where a tensor is among the arguments of a layer: positions and names, from the outside in."""


class Piece(NamedTuple):
    """Some of the states that one call has computed.

    Attributes:
        output: Number of the call plus one; 0 are the embeddings.
        nodes: The index of their positions; None for all of them in order.
    """

    output: int
    nodes: int | None


class Picked(NamedTuple):
    """The states of some nodes.

    Attributes:
        pieces: All of them, without repeats, in the order of the calls.
        order: The index of the place of each node among them; None if they are in order.
    """

    pieces: list[Piece]
    order: int | None


class Blending(NamedTuple):
    """Nodes of one call that are given mixes with the same weights.

    Attributes:
        nodes: The index of their positions.
        terms: States, one for each of these nodes, and the weight of each.
    """

    nodes: int
    terms: list[tuple[Picked, float]]


class Step(NamedTuple):
    """What one call needs.

    Attributes:
        inputs: The states of the parents of its nodes, in their order.
        blendings: What some nodes are given in place of these.
        sources: The index of the token sequence of each node; None where arguments fit as they are.
        last_uses: Outputs that no later call needs.
        scales_C: What the addition of each node to its states is multiplied by; None for 1 each.
    """

    inputs: list[Piece]
    blendings: list[Blending]
    sources: int | None
    last_uses: list[int]
    scales_C: Tensor | None


@dataclass(frozen=True)
class Plan:
    """A schedule in tensors.

    Attributes:
        steps: One for each call.
        leaves: The final states of the rows.
        indices: What the others name by number.
    """

    steps: list[Step]
    leaves: Picked
    indices: list[Tensor]

    def given(self, outputs: Sequence[Tensor], step: Step) -> Tensor:
        """Return what the nodes of a call are given."""
        states_CTD = self._gather(outputs, step.inputs)
        for nodes, terms in step.blendings:
            mixed = [weight * self.pick(outputs, picked) for picked, weight in terms]
            total_CTD = torch.stack(mixed).sum(0)
            states_CTD = states_CTD.index_copy(0, self.indices[nodes], total_CTD)
        return states_CTD

    def pick(self, outputs: Sequence[Tensor], picked: Picked) -> Tensor:
        """Return the states of some nodes, in the order in which they were asked for."""
        states = self._gather(outputs, picked.pieces)
        return (
            states if picked.order is None else states.index_select(0, self.indices[picked.order])
        )

    def _gather(self, outputs: Sequence[Tensor], pieces: Sequence[Piece]) -> Tensor:
        """Return the states in some pieces; no copy is made of a whole output."""
        parts = [
            outputs[output]
            if nodes is None
            else outputs[output].index_select(0, self.indices[nodes])
            for output, nodes in pieces
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


def make_plan(schedule: Schedule, device: torch.device) -> Plan:
    """Return what each call of a schedule needs."""
    drawing = _Drawing(schedule)
    everything = np.arange(schedule.n_sources)
    last_uses = drawing.last_uses()
    scales = drawing.scales()
    steps = []
    for call, unused in zip(schedule.calls, last_uses, strict=True):
        sources = schedule.sources[call.start : call.stop]
        steps.append(
            Step(
                inputs=drawing.pieces(schedule.parents[call.start : call.stop]),
                blendings=drawing.blendings(call),
                sources=None if np.array_equal(sources, everything) else drawing.index(sources),
                last_uses=unused,
                scales_C=_scales(scales[call.start : call.stop], device),
            )
        )
    return Plan(steps, drawing.picked(schedule.leaves), on_device(drawing.indices, device))


def _scales(scales: np.ndarray, device: torch.device) -> Tensor | None:
    """Return the scales of the nodes of one call as a tensor, unless no layer is scaled."""
    is_plain = (scales == 1).all()
    return None if is_plain else torch.tensor(scales, dtype=torch.float32, device=device)


class _Drawing:
    """Knows which call computes each node of a schedule.

    Attributes:
        indices: Different ones, in the order in which they were asked for.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.starts = [0, *(call.start for call in schedule.calls), len(schedule.parents)]
        self.output_of = np.repeat(np.arange(len(schedule.calls) + 1), np.diff(self.starts))
        self.indices: list[Numbers] = []
        self._known: dict[bytes, int] = {}

    def index(self, places: Numbers) -> int:
        """Return the number of an index; equal ones have the same."""
        number = self._known.setdefault(places.tobytes(), len(self.indices))
        if number == len(self.indices):
            self.indices.append(places)
        return number

    def pieces(self, nodes: Numbers) -> list[Piece]:
        """Group nodes, in the order of the calls that compute them, by these calls."""
        found = []
        outputs = self.output_of[nodes]
        for some in np.split(nodes, np.flatnonzero(np.diff(outputs)) + 1):
            output = int(self.output_of[some[0]])
            start, stop = self.starts[output : output + 2]
            is_whole = np.array_equal(some, np.arange(start, stop))
            found.append(Piece(output, None if is_whole else self.index(some - start)))
        return found

    def picked(self, nodes: Numbers) -> Picked:
        """Return where nodes in any order are."""
        ordered, order = np.unique(nodes, return_inverse=True)
        is_in_order = np.array_equal(order, np.arange(len(ordered)))
        return Picked(self.pieces(ordered), None if is_in_order else self.index(order))

    def blendings(self, call: Call) -> list[Blending]:
        """Group the blended nodes of a call by their weights."""
        blends = self.schedule.blends
        alike: dict[tuple[float, ...], list[int]] = {}
        for node in range(call.start, call.stop) if blends else ():
            if node in blends:
                alike.setdefault(tuple(weight for _, weight in blends[node]), []).append(node)
        return [
            Blending(
                self.index(np.array(nodes) - call.start),
                [
                    (self.picked(np.array([blends[node][term][0] for node in nodes])), weight)
                    for term, weight in enumerate(weights)
                ],
            )
            for weights, nodes in alike.items()
        ]

    def scales(self) -> np.ndarray:
        """Return the scale of the layer that computes each node."""
        distinct, numbers = self.schedule.beginnings
        return np.array([scale_of(passes[-1]) if passes else 1.0 for passes in distinct])[numbers]

    def last_uses(self) -> list[list[int]]:
        """Return, for each call, the outputs that no later one needs, nor the rows at the end."""
        schedule = self.schedule
        last = np.zeros(len(schedule.calls) + 1, dtype=np.int64)
        for index, call in enumerate(schedule.calls):
            last[self.output_of[schedule.parents[call.start : call.stop]]] = index
            for node in range(call.start, call.stop) if schedule.blends else ():
                for other, _ in schedule.blends.get(node, ()):
                    last[self.output_of[other]] = index
        last[self.output_of[schedule.leaves]] = len(schedule.calls)
        return [np.flatnonzero(last == index).tolist() for index in range(len(schedule.calls))]


class Picker:
    """Takes the entries of some token sequences from everything that a layer is called with.

    Plain values, the cache, and tensors without entries for each sequence are shared by all.
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
