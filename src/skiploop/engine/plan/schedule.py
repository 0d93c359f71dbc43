"""Which layer runs next, and for which rows. No torch.

Rows with the same tokens have the same states for as long as their paths are the same. So a batch
is a trie of *nodes*: a node is one token sequence after the first layers of a path, and it is
computed once, whatever the number of rows that go through it. The order in which the layers run
is found once for a batch; it is the same in every forward pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skiploop.programs.layer_pass import Mix, mix_of

Passes = tuple[int, ...]
"""The beginning of a path: the layers that a node has gone through."""

Numbers = NDArray[np.int64]
"""Of nodes, rows, sources or beginnings: one for each of a list."""

Blend = tuple[tuple[int, float], ...]

Waiting = Mapping[int, Sequence[int]]
"""The beginnings of paths that wait for each layer."""


class Call(NamedTuple):
    """One execution of one layer, for the nodes `start` to `stop` (exclusive) of a batch."""

    layer: int
    start: int
    stop: int


class Beginnings(NamedTuple):
    """The layers that each node has gone through.

    Attributes:
        distinct: All beginnings of paths.
        numbers: The one of each node.
    """

    distinct: Sequence[Passes]
    numbers: Numbers

    def of(self, node: int) -> Passes:
        """Return the layers that one node has gone through."""
        return self.distinct[int(self.numbers[node])]


@dataclass(frozen=True, eq=False)
class Schedule:
    """Calls that take every row of a batch along its path.

    Attributes:
        n_sources: Token sequences. Node `i < n_sources` is the embedding of sequence `i`; the
            others are numbered in the order in which they are computed.
        calls: In the order in which they run.
        sources: The token sequence of each node.
        parents: The node whose states each node is given; its own number for embeddings.
        beginnings: The layers that each node has gone through.
        leaves: The last node of each row.
        blends: For nodes that are given a mix in place of the states of their parent: nodes on the
            way to them, and the weight of each.
    """

    n_sources: int
    calls: tuple[Call, ...]
    sources: Numbers
    parents: Numbers
    beginnings: Beginnings
    leaves: Numbers
    blends: Mapping[int, Blend] = field(default_factory=dict)

    @property
    def n_nodes(self) -> int:
        """Layers executed on one token sequence, summed up."""
        return len(self.sources) - self.n_sources

    def chain(self, row: int) -> list[int]:
        """Return the nodes of a row in the order in which they are computed."""
        node, chain = int(self.leaves[row]), []
        while node >= self.n_sources:
            chain.append(node)
            node = int(self.parents[node])
        return chain[::-1]

    def beginnings_after(self, before: Sequence[Passes]) -> Beginnings:
        """Return the layers of each node where each token sequence had gone through some before."""
        if not any(before):
            return self.beginnings
        distinct, numbers = self.beginnings
        pairs, found = _unique_pairs(self.sources, numbers)
        return Beginnings([before[source] + distinct[number] for source, number in pairs], found)


def schedule(
    paths: Sequence[Sequence[int]], sources: Sequence[int] | Numbers | None = None
) -> Schedule:
    """Return calls that take every row along its path.

    A call runs a layer for all nodes that wait for it. Of three orders the one with fewest calls is
    taken: always the lowest layer that a node waits for, where rows that loop catch up with those
    that went ahead; the same, but rows that loop wait for others that will go back below where
    these are, so loops that overlap run together; or sweeps through the layers from below, where
    they wait for the next sweep. The least number of calls is a shortest common supersequence,
    which is hard to find; for one path all orders give its own length.

    Args:
        paths: Layers in the order they run, one path a row, as `Program.layer_inputs` returns them.
        sources: The token sequence of each row, numbered from 0; each row has its own if not
            given.

    Guarantees:
        The layers of the calls that lead to the leaf of a row are, in order, its path; no two
        nodes have the same tokens and path (tests/unit/test_schedule.py).

    Cost:
        Python work for each different beginning of a path.
    """
    row_sources = range(len(paths)) if sources is None else sources
    trie = _Trie([tuple(path) for path in paths], np.array(row_sources, dtype=np.int64))
    orders = map(trie.order, (_lowest, trie.lowest_but_for_loops, _next_in_sweep))
    return trie.schedule(min(orders, key=len))


def _lowest(waiting: Waiting, _last: int) -> int:
    return min(waiting)


def _next_in_sweep(waiting: Waiting, last: int) -> int:
    return min(waiting, key=lambda layer: (layer <= last, layer))


class Numbering:
    """The nodes of a schedule as they are numbered, call by call.

    Args:
        n_sources: Token sequences, whose embeddings are the first nodes.

    Attributes:
        n_nodes: So far, embeddings among them.
    """

    def __init__(self, n_sources: int) -> None:
        self.n_sources = self.n_nodes = n_sources
        self.blends: dict[int, Blend] = {}
        self._calls: list[Call] = []
        self._sources: list[Numbers] = [np.arange(n_sources)]
        self._parents: list[Numbers] = [np.arange(n_sources)]
        self._numbers: list[Numbers] = [np.zeros(n_sources, dtype=np.int64)]

    def add(self, sources: Numbers, parents: Numbers, numbers: Numbers) -> None:
        """Add nodes to the call that comes next: their sources, parents and beginnings."""
        self._sources.append(sources)
        self._parents.append(parents)
        self._numbers.append(numbers)
        self.n_nodes += len(sources)

    def end_call(self, layer: int) -> None:
        """Put all nodes since the last call into one."""
        start = self._calls[-1].stop if self._calls else self.n_sources
        self._calls.append(Call(layer, start, self.n_nodes))

    def schedule(self, beginnings: Sequence[Passes], leaves: Numbers) -> Schedule:
        """Return the schedule, given all beginnings and the last node of each row."""
        return Schedule(
            self.n_sources,
            tuple(self._calls),
            np.concatenate(self._sources),
            np.concatenate(self._parents),
            Beginnings(beginnings, np.concatenate(self._numbers)),
            leaves,
            self.blends,
        )


class _Trie:
    """The different beginnings of some paths. The order of the layers does not depend on tokens."""

    def __init__(self, paths: Sequence[Passes], sources: Numbers) -> None:
        self._sources = sources
        self._steps: list[int] = [-1]  # the last entry of each beginning; 0 is the empty one
        self._passes: list[Passes] = [()]
        self._parents = [0]
        self._children: list[dict[int, int]] = [{}]
        ends = {path: self._add(path) for path in dict.fromkeys(paths)}
        self._ends = np.array([ends[path] for path in paths], dtype=np.int64)

    def _add(self, path: Passes) -> int:
        """Add the beginnings of a path that are new, and return the number of the whole."""
        beginning = 0
        for n_passes, step in enumerate(path, 1):
            if step not in self._children[beginning]:
                self._children[beginning][step] = len(self._steps)
                self._steps.append(step)
                self._passes.append(path[:n_passes])
                self._parents.append(beginning)
                self._children.append({})
            beginning = self._children[beginning][step]
        return beginning

    def lowest_but_for_loops(self, waiting: Waiting, _last: int) -> int:
        """Return the highest layer from which a path will go back below it, or else the lowest."""
        for layer in sorted(waiting, reverse=True):
            if any(self._lowest_ahead[beginning] < layer for beginning in waiting[layer]):
                return layer
        return min(waiting)

    @cached_property
    def _lowest_ahead(self) -> list[int]:
        """The lowest layer of each beginning from its last entry on, however it goes on."""
        lowest = [int(step) for step in self._steps]
        for beginning in range(len(lowest) - 1, 0, -1):  # children have higher numbers
            parent = self._parents[beginning]
            lowest[parent] = min(lowest[parent], lowest[beginning])
        return lowest

    def order(self, rule: Callable[[Waiting, int], int]) -> list[list[int]]:
        """Return the beginnings that each call computes, given which layer runs next."""
        calls: list[list[int]] = []
        waiting: defaultdict[int, list[int]] = defaultdict(list)

        def wait(beginning: int) -> None:
            for step, child in self._children[beginning].items():
                waiting[int(step)].append(child)

        wait(0)
        last = -1
        while waiting:
            last = rule(waiting, last)
            calls.append(waiting.pop(last))
            for beginning in calls[-1]:
                wait(beginning)
        return calls

    def schedule(self, order: Sequence[Sequence[int]]) -> Schedule:
        """Return the schedule of all rows with calls in some order.

        The nodes of a beginning follow each other, in the order of their sources.
        """
        found = Numbering(int(self._sources.max(initial=-1)) + 1)
        sources_of = self._sources_of(found.n_sources)
        starts = [0] * len(self._steps)

        def nodes(beginning: int, sources: Numbers) -> Numbers:
            """Return the nodes of some sources after a beginning."""
            return starts[beginning] + np.searchsorted(sources_of[beginning], sources)

        for beginnings in order:
            for beginning in sorted(beginnings, key=lambda one: (starts[self._parents[one]], one)):
                sources, starts[beginning] = sources_of[beginning], found.n_nodes
                if mix := mix_of(self._steps[beginning]):
                    terms = [
                        nodes(other, sources).tolist() for other in self._behind(beginning, mix)
                    ]
                    found.blends |= _blends(starts[beginning], terms, mix)
                parents = nodes(self._parents[beginning], sources)
                found.add(sources, parents, np.full(len(sources), beginning))
            found.end_call(int(self._steps[beginnings[0]]))
        leaves = np.empty(len(self._ends), dtype=np.int64)
        for rows in _together(self._ends):
            leaves[rows] = nodes(self._ends[rows[0]], self._sources[rows])
        return found.schedule(self._passes, leaves)

    def _sources_of(self, n_sources: int) -> list[Numbers]:
        """Return the token sequences that go through each beginning; all have the empty one."""
        found: list[list[Numbers]] = [[] for _ in self._steps]
        for rows in _together(self._ends):
            found[self._ends[rows[0]]].append(self._sources[rows])
        merged = [np.arange(n_sources)] * len(found)
        for beginning in range(len(found) - 1, 0, -1):  # children have higher numbers
            held = found[beginning]
            is_merged = len(held) == 1 and bool(self._children[beginning])
            merged[beginning] = held[0] if is_merged else np.unique(np.concatenate(held))
            found[self._parents[beginning]].append(merged[beginning])
        return merged

    def _behind(self, beginning: int, mix: Mix) -> list[int]:
        """Return the beginnings that a mix is made of."""
        behind = [self._parents[beginning]]
        while len(behind) <= mix[0][0]:
            behind.append(self._parents[behind[-1]])
        return [behind[distance] for distance, _ in mix]


def _together(numbers: Numbers) -> list[Numbers]:
    """Return the positions of each number that is there."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else []


def _blends(start: int, terms: Sequence[Sequence[int]], mix: Mix) -> dict[int, Blend]:
    """Return what the nodes from `start` on are given: a node of each term, in a mix."""
    weights = [weight for _, weight in mix]
    return {
        node: tuple(zip(others, weights, strict=True))
        for node, others in enumerate(zip(*terms, strict=True), start)
    }


def _unique_pairs(ones: Numbers, others: Numbers) -> tuple[list[tuple[int, int]], Numbers]:
    """Return the different pairs of two lists, and which of them stands at each place."""
    pairs, found = np.unique(np.stack([ones, others]), axis=1, return_inverse=True)
    return [(int(one), int(other)) for one, other in pairs.T], found.reshape(-1)
