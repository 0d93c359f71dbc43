"""How a schedule moves tensors: which states each call is given, and which rows of everything else.

Shapes: S token sequences, C cells of a call, R rows, T tokens, D hidden size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache

from skiploop.engine.schedule import Schedule
from skiploop.errors import UnsupportedModelError


class Piece(NamedTuple):
    """Some of the states that one call has computed.

    Attributes:
        output: Number of the call plus one; 0 are the embeddings.
        cells: Which of its cells, as positions; None for all of them in order.
    """

    output: int
    cells: Tensor | None


class Step(NamedTuple):
    """What one call needs.

    Attributes:
        inputs: The states that its cells are given, in their order.
        sources: The token sequence of each cell; None where arguments fit as they are.
        last_uses: Outputs that no later call needs.
    """

    inputs: list[Piece]
    sources: Tensor | None
    last_uses: list[int]


@dataclass(frozen=True)
class Plan:
    """A schedule in tensors.

    Attributes:
        steps: One for each call.
        leaves: The final states, without repeats, in the order of the calls.
        order: The position of each row in `leaves`; None if they are in order.
    """

    steps: list[Step]
    leaves: list[Piece]
    order: Tensor | None


def make_plan(schedule: Schedule, device: torch.device) -> Plan:
    """Return what each call of a schedule needs."""
    starts = [0, *(call.start for call in schedule.calls), len(schedule.parents)]
    output_of = [0] * len(schedule.parents)
    for output, start in enumerate(starts[:-1]):
        output_of[start : starts[output + 1]] = [output] * (starts[output + 1] - start)

    def pieces(cells: Sequence[int]) -> list[Piece]:
        """Group ascending cells by the call that computes them."""
        found: dict[int, list[int]] = {}
        for cell in cells:
            found.setdefault(output_of[cell], []).append(cell - starts[output_of[cell]])
        return [
            Piece(output, None)
            if positions == list(range(starts[output + 1] - starts[output]))
            else Piece(output, torch.tensor(positions, device=device))
            for output, positions in found.items()
        ]

    leaves = sorted(set(schedule.leaves))
    place = {leaf: position for position, leaf in enumerate(leaves)}
    order = [place[leaf] for leaf in schedule.leaves]
    last_use = dict.fromkeys(range(len(schedule.calls) + 1), 0)
    for index, call in enumerate(schedule.calls):
        for cell in schedule.parents[call.start : call.stop]:
            last_use[output_of[cell]] = index
    last_use.update(dict.fromkeys((output_of[leaf] for leaf in leaves), len(schedule.calls)))
    tensors: dict[tuple[int, ...], Tensor] = {}
    steps = []
    for index, call in enumerate(schedule.calls):
        sources = schedule.sources[call.start : call.stop]
        fit = schedule.n_sources == 1 or sources == tuple(range(schedule.n_sources))
        if not fit and sources not in tensors:
            tensors[sources] = torch.tensor(sources, device=device)
        steps.append(
            Step(
                inputs=pieces(schedule.parents[call.start : call.stop]),
                sources=None if fit else tensors[sources],
                last_uses=[output for output, last in last_use.items() if last == index],
            )
        )
    return Plan(
        steps,
        pieces(leaves),
        None if order == list(range(len(order))) else torch.tensor(order, device=device),
    )


def gather(outputs: Sequence[Tensor], pieces: Sequence[Piece]) -> Tensor:
    """Return the states in some pieces, one after the other; no copy is made of a whole output."""
    parts = [
        outputs[output] if cells is None else outputs[output].index_select(0, cells)
        for output, cells in pieces
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


class Picker:
    """Takes the entries of some token sequences from everything that a layer is called with.

    A tensor whose first of several dimensions is the batch is split; vectors, tensors with 1
    there, plain values and the cache are shared by all.

    Args:
        n_sources: Token sequences of the batch.
    """

    def __init__(self, n_sources: int) -> None:
        self._n_sources = n_sources
        self._done: dict[tuple[int, int], Tensor] = {}

    def pick(self, value: object, sources: Tensor) -> Any:  # noqa: ANN401  as many types as families
        """Return the entries of a tensor, or of the tensors in tuples, lists and dicts.

        Raises:
            UnsupportedModelError: A value has entries that cannot be told apart.
        """
        if isinstance(value, Tensor) and value.ndim > 1 and len(value) == self._n_sources:
            key = id(value), id(sources)
            if key not in self._done:
                self._done[key] = value.index_select(0, sources)
            return self._done[key]
        if isinstance(value, Tensor) and (value.ndim < 2 or len(value) == 1):
            return value
        if type(value) is tuple or type(value) is list:
            return type(value)(self.pick(item, sources) for item in value)
        if type(value) is dict:
            return {name: self.pick(item, sources) for name, item in value.items()}
        if value is None or isinstance(value, Cache | bool | int | float | str):
            return value
        if isinstance(value, Mapping) and not value:
            return value
        what = type(value).__name__
        if isinstance(value, Tensor):
            what += f" of shape {list(value.shape)}"
        raise UnsupportedModelError(
            f"layers are called with a {what}, which cannot be split into {self._n_sources} rows: "
            "give all rows the same program, or load the model with attn_implementation='sdpa'"
        )
