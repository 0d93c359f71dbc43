"""Which layer runs next, and for which rows. No torch.

Rows with the same tokens have the same states for as long as their paths are the same. So a batch
is a trie of *cells*: a cell is one token sequence after the first layers of a path, and it is
computed once, whatever the number of rows that go through it. The order in which the layers run
is found once for a batch; it is the same in every forward pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from skiploop.damping import Mix, mix_of

Blend = tuple[tuple[int, float], ...]


class Call(NamedTuple):
    """One execution of one layer, for the cells `start` to `stop` (exclusive) of a batch."""

    layer: int
    start: int
    stop: int


@dataclass(frozen=True)
class Schedule:
    """Calls that take every row of a batch along its path.

    Attributes:
        n_sources: Token sequences. Cell `i < n_sources` is the embedding of sequence `i`; the
            others are numbered in the order in which they are computed.
        calls: In the order in which they run.
        sources: The token sequence of each cell.
        parents: The cell whose states each cell is given; its own number for embeddings.
        passes: The layers that each cell has gone through.
        leaves: The last cell of each row.
        blends: For cells that are given a mix in place of the states of their parent: cells on the
            way to them, and the weight of each.
    """

    n_sources: int
    calls: tuple[Call, ...]
    sources: tuple[int, ...]
    parents: tuple[int, ...]
    passes: tuple[tuple[int, ...], ...]
    leaves: tuple[int, ...]
    blends: Mapping[int, Blend] = field(default_factory=dict)

    @property
    def n_cells(self) -> int:
        """Layers executed on one token sequence, summed up."""
        return len(self.sources) - self.n_sources

    def chain(self, row: int) -> list[int]:
        """Return the cells of a row in the order in which they are computed."""
        cell, chain = self.leaves[row], []
        while cell >= self.n_sources:
            chain.append(cell)
            cell = self.parents[cell]
        return chain[::-1]

    def passes_after(self, before: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return the layers of each cell where each token sequence had gone through some before."""
        return [
            before[source] + passes if before[source] else passes
            for source, passes in zip(self.sources, self.passes, strict=True)
        ]


class Fork(NamedTuple):
    """A schedule that goes on where another one stopped.

    Attributes:
        schedule: Of the rows that go on.
        calls: For each of its calls, the number of the call that it continues.
        cells: For each of its calls, the cells that its own cells continue, as positions in the
            call that it continues.
    """

    schedule: Schedule
    calls: tuple[int, ...]
    cells: tuple[tuple[int, ...], ...]


def schedule(paths: Sequence[Sequence[int]], sources: Sequence[int] | None = None) -> Schedule:
    """Return calls that take every row along its path.

    A call runs a layer for all cells that wait for it. Of two orders the one with fewer calls is
    taken: always the lowest layer that a cell waits for, where rows that loop catch up with those
    that went ahead; or sweeps through the layers from below, where they wait for the next sweep.
    The least number of calls is a shortest common supersequence, which is hard to find; for one
    path both orders give its own length.

    Args:
        paths: Layers in the order they run, one path a row, as `Program.steps` returns them.
        sources: The token sequence of each row, numbered from 0; each row has its own if not
            given.

    Guarantees:
        The layers of the calls that lead to the leaf of a row are, in order, its path; no two
        cells have the same tokens and path (tests/unit/test_schedule.py).

    Cost:
        Python work for each different beginning of a path, and for each cell.
    """
    row_sources = range(len(paths)) if sources is None else sources
    trie = _Trie([tuple(path) for path in paths], row_sources)
    return trie.schedule(min(map(trie.order, (_lowest, _next_in_sweep)), key=len))


def _lowest(layers: Iterable[int], _last: int) -> int:
    return min(layers)


def _next_in_sweep(layers: Iterable[int], last: int) -> int:
    return min(layers, key=lambda layer: (layer <= last, layer))


class _Cells:
    """The cells of a schedule as they are numbered, call by call.

    Args:
        n_sources: Token sequences, whose embeddings are the first cells.
    """

    def __init__(self, n_sources: int) -> None:
        self.n_sources = n_sources
        self.calls: list[Call] = []
        self.sources = list(range(n_sources))
        self.parents = list(range(n_sources))
        self.passes: list[tuple[int, ...]] = [()] * n_sources
        self.blends: dict[int, Blend] = {}

    def add(self, source: int, parent: int, passes: tuple[int, ...], blend: Blend = ()) -> int:
        """Add a cell to the call that comes next, and return its number."""
        cell = len(self.parents)
        if blend:
            self.blends[cell] = blend
        self.sources.append(source)
        self.parents.append(parent)
        self.passes.append(passes)
        return cell

    def end_call(self, layer: int) -> None:
        """Put all cells since the last call into one."""
        start = self.calls[-1].stop if self.calls else self.n_sources
        self.calls.append(Call(layer, start, len(self.parents)))

    def schedule(self, leaves: Iterable[int]) -> Schedule:
        """Return the schedule, given the last cell of each row."""
        return Schedule(
            self.n_sources,
            tuple(self.calls),
            tuple(self.sources),
            tuple(self.parents),
            tuple(self.passes),
            tuple(leaves),
            self.blends,
        )


class _Trie:
    """The different beginnings of some paths. The order of the layers does not depend on tokens.

    Args:
        paths: One a row.
        sources: The token sequence of each row.
    """

    def __init__(self, paths: Sequence[tuple[int, ...]], sources: Sequence[int]) -> None:
        self._sources = sources
        self._steps: list[int] = [-1]  # the last entry of each beginning; 0 is the empty one
        self._passes: list[tuple[int, ...]] = [()]
        self._parents = [0]
        self._children: list[dict[int, int]] = [{}]
        ends = {path: self._add(path) for path in dict.fromkeys(paths)}
        self._ends = [ends[path] for path in paths]

    def _add(self, path: tuple[int, ...]) -> int:
        """Add the beginnings of a path that are new, and return the number of the whole."""
        node = 0
        for n_passes, step in enumerate(path, 1):
            if step not in self._children[node]:
                self._children[node][step] = len(self._steps)
                self._steps.append(step)
                self._passes.append(path[:n_passes])
                self._parents.append(node)
                self._children.append({})
            node = self._children[node][step]
        return node

    def order(self, rule: Callable[[Iterable[int], int], int]) -> list[list[int]]:
        """Return the beginnings that each call computes, given which layer runs next."""
        calls: list[list[int]] = []
        waiting: defaultdict[int, list[int]] = defaultdict(list)

        def wait(node: int) -> None:
            for step, child in self._children[node].items():
                waiting[int(step)].append(child)

        wait(0)
        last = -1
        while waiting:
            last = rule(waiting, last)
            calls.append(waiting.pop(last))
            for node in calls[-1]:
                wait(node)
        return calls

    def schedule(self, order: Sequence[Sequence[int]]) -> Schedule:
        """Return the schedule of all rows with calls in some order."""
        sources_of = self._sources_of()
        cells = _Cells(max(self._sources, default=-1) + 1)
        cell_of: list[dict[int, int]] = [{source: source for source in range(cells.n_sources)}]
        cell_of += [{} for _ in self._steps[1:]]
        for nodes in order:
            given = sorted(
                (cell_of[self._parents[node]][source], mix_of(self._steps[node]), node, source)
                for node in nodes
                for source in sources_of[node]
            )
            for parent, mix, node, source in given:
                blend = _blend(cells.parents, parent, mix) if mix else ()
                cell_of[node][source] = cells.add(source, parent, self._passes[node], blend)
            cells.end_call(int(self._steps[nodes[0]]))
        ends = zip(self._ends, self._sources, strict=True)
        return cells.schedule(cell_of[node][source] for node, source in ends)

    def _sources_of(self) -> list[set[int]]:
        """Return the token sequences that go through each beginning."""
        found: list[set[int]] = [set() for _ in self._steps]
        for node, source in zip(self._ends, self._sources, strict=True):
            found[node].add(source)
        for node in range(len(found) - 1, 0, -1):  # children have higher numbers
            found[self._parents[node]] |= found[node]
        return found


def _blend(parents: Sequence[int], parent: int, mix: Mix) -> Blend:
    """Return which cells a mix is made of, given the cell before it."""
    behind = [parent]
    while len(behind) <= mix[0][0]:
        behind.append(parents[behind[-1]])
    return tuple((behind[distance], weight) for distance, weight in mix)


def extend(before: Schedule, rests: Sequence[Sequence[int]]) -> Schedule:
    """Return a schedule whose rows go on along further layers once all calls have run.

    Args:
        before: The schedule so far.
        rests: The further layers of each row.

    Guarantees:
        The calls and cells of `before` keep their places (tests/unit/test_schedule.py).
    """
    leaves = list(dict.fromkeys(before.leaves))
    number = {leaf: position for position, leaf in enumerate(leaves)}
    after = schedule(rests, [number[leaf] for leaf in before.leaves])
    shift = len(before.parents) - after.n_sources

    def moved(cell: int) -> int:
        return leaves[cell] if cell < after.n_sources else cell + shift

    new = range(after.n_sources, len(after.parents))
    passes = after.passes_after([before.passes[leaf] for leaf in leaves])
    blends = {
        moved(cell): tuple((moved(other), weight) for other, weight in blend)
        for cell, blend in after.blends.items()
    }
    return Schedule(
        before.n_sources,
        before.calls + tuple(Call(c.layer, c.start + shift, c.stop + shift) for c in after.calls),
        before.sources + tuple(before.sources[leaves[after.sources[cell]]] for cell in new),
        before.parents + tuple(moved(after.parents[cell]) for cell in new),
        before.passes + tuple(passes[after.n_sources :]),
        tuple(map(moved, after.leaves)),
        {**before.blends, **blends},
    )


def fork(before: Schedule, rows: Sequence[int], sources: Sequence[int]) -> Fork:
    """Return the schedule of rows that go on with further tokens, call by call as before.

    Args:
        before: The schedule of the tokens so far.
        rows: For each new row, the row of `before` that it continues.
        sources: The sequence of further tokens of each new row, numbered from 0.

    Guarantees:
        The cells of a new row continue those of the row that it continues, one by one.
    """
    call_of = [0] * len(before.parents)
    for index, call in enumerate(before.calls):
        call_of[call.start : call.stop] = [index] * (call.stop - call.start)
    # (source, cell of `before`) is a cell of the fork; each maps to the one it is given.
    wanted: defaultdict[int, dict[tuple[int, int], tuple[int, int] | None]] = defaultdict(dict)
    chains = {row: before.chain(row) for row in set(rows)}
    for row, source in zip(rows, sources, strict=True):
        parent = None
        for cell in chains[row]:
            wanted[call_of[cell]][source, cell] = parent
            parent = source, cell
    cells = _Cells(max(sources, default=-1) + 1)
    kept = []
    number: dict[tuple[int, int], int] = {}
    for index in sorted(wanted):
        layer, first, _ = before.calls[index]
        given = sorted(
            (source if parent is None else number[parent], cell, source)
            for (source, cell), parent in wanted[index].items()
        )
        for parent_number, cell, source in given:
            blend = tuple(
                (source if other < before.n_sources else number[source, other], weight)
                for other, weight in before.blends.get(cell, ())
            )
            number[source, cell] = cells.add(source, parent_number, before.passes[cell], blend)
        cells.end_call(layer)
        kept.append(tuple(cell - first for _, cell, _ in given))
    leaves = (
        number[source, chains[row][-1]] if chains[row] else source
        for row, source in zip(rows, sources, strict=True)
    )
    return Fork(cells.schedule(leaves), tuple(sorted(wanted)), tuple(kept))
