"""Damped loops: passes over a block that move the states only a part of the way. No torch.

A plain loop over a block g runs x <- g(x). A damped loop of K passes with an anchor runs

    x_k = (1 - 1/K) * x_(k-1) + 1/K * g(x_(k-1))    for k = 1 .. K
    out = anchor * g(x_0) + (1 - anchor) * x_K

The mean of a plain loop is out = (x_1 + ... + x_K) / K, where x_k = g(x_(k-1)).

So what every layer is given is either the states after the position before it, or a weighted sum
of the states after earlier positions. Each pass has keys and values of its own, as in a plain
loop: a token attends to what earlier tokens were in the same pass, whether they came with it or
before it.

Sources: arXiv 2605.23872, which writes the keys and values of one pass only; the mean is the
"uniform" way of arXiv 2602.14759.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from skiploop.programs.segment import MEAN, Segment

RUNS = 3
"""Passes of a damped loop where nobody says how many, as in the source."""

Mix = tuple[tuple[int, float], ...]
"""What a layer is given: (how many positions before the last one, weight), the oldest first."""


class Blended(int):
    """A layer in a path that is given a mix of earlier states.

    Attributes:
        mix: What it is given.

    Guarantees:
        It is a layer index, but equal only to the same layer with the same mix: two paths that
        start with equal entries lead to the same states.
    """

    mix: Mix

    @classmethod
    def of(cls, layer: int, mix: Mix) -> Self:
        """Return a layer that is given a mix."""
        blended = cls(layer)
        blended.mix = mix
        return blended

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blended) and _key(self) == _key(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(_key(self))

    def __lt__(self, other: int) -> bool:
        return _key(self) < _key(other)

    def __gt__(self, other: int) -> bool:
        return _key(self) > _key(other)

    def __le__(self, other: int) -> bool:
        return _key(self) <= _key(other)

    def __ge__(self, other: int) -> bool:
        return _key(self) >= _key(other)

    def __repr__(self) -> str:
        return f"Blended.of({int(self)}, {self.mix})"


def mix_of(step: int) -> Mix:
    """Return what an entry of a path is given; nothing where it is the state before it."""
    return step.mix if isinstance(step, Blended) else ()


def steps(n_layers: int, edits: Iterable[Segment]) -> tuple[int, ...]:
    """Return the path of a program, with `Blended` entries where a layer is given a mix.

    Args:
        n_layers: Layers of the model.
        edits: Blocks that do not run once, in layer order.
    """
    found: list[int] = []
    given: dict[int, float] = {-1: 1.0}  # position -> weight of the state after it; -1: embedding

    def run(layers: Iterable[int]) -> None:
        nonlocal given
        for layer in layers:
            last = len(found) - 1
            is_plain = given == {last: 1.0}
            mix = tuple((last - position, weight) for position, weight in sorted(given.items()))
            found.append(layer if is_plain else Blended.of(layer, mix))
            given = {last + 1: 1.0}

    layer = 0
    for edit in edits:
        run(range(layer, edit.start))
        block = range(edit.start, edit.stop)
        if edit.anchor is None:
            run([*block] * edit.runs)
        elif edit.anchor == MEAN:
            mean: dict[int, float] = {}
            for _ in range(edit.runs):
                run(block)
                mean = _sum(mean, 1.0, given, 1 / edit.runs)
            given = mean
        else:
            first: Mapping[int, float] = {}
            for _ in range(edit.runs):
                before = given
                run(block)
                first = first or given
                given = _sum(before, 1 - 1 / edit.runs, given, 1 / edit.runs)
            given = _sum(first, edit.anchor, given, 1 - edit.anchor)
        layer = edit.stop
    run(range(layer, n_layers))
    return tuple(found)


def inside_loops(path: Sequence[int]) -> frozenset[int]:
    """Return the numbers of passes of a path after which a damped loop still needs older states."""
    return frozenset(
        n_passes
        for position, step in enumerate(path)
        for distance, _ in mix_of(step)[:1]
        for n_passes in range(position - distance + 1, position + 1)
    )


def _sum(
    one: Mapping[int, float], weight: float, other: Mapping[int, float], other_weight: float
) -> dict[int, float]:
    """Return the weighted sum of two mixes, without what has no weight."""
    total = {position: weight * share for position, share in one.items()}
    for position, share in other.items():
        total[position] = total.get(position, 0.0) + other_weight * share
    return {position: share for position, share in total.items() if share}


def _key(step: int) -> tuple[int, Mix]:
    return int(step), mix_of(step)
