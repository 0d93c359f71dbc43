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

from skiploop.programs.layer_pass import LayerPass, mix_of
from skiploop.programs.segment import MEAN, Segment

RUNS = 3
"""Passes of a damped loop where nobody says how many, as in the source."""


def steps(n_layers: int, edits: Iterable[Segment]) -> tuple[int, ...]:
    """Return the path of a program, with a `LayerPass` where a layer is given a mix or scaled.

    Args:
        n_layers: Layers of the model.
        edits: Blocks that do not run once, in layer order.
    """
    found: list[int] = []
    given: dict[int, float] = {-1: 1.0}  # position -> weight of the state after it; -1: embedding

    def run(layers: Iterable[int], scale: float = 1.0) -> None:
        nonlocal given
        for layer in layers:
            last = len(found) - 1
            is_mix = given != {last: 1.0}
            mix = tuple((last - position, weight) for position, weight in sorted(given.items()))
            is_plain = scale == 1 and not is_mix
            found.append(layer if is_plain else LayerPass.of(layer, mix if is_mix else (), scale))
            given = {last + 1: 1.0}

    layer = 0
    for edit in edits:
        run(range(layer, edit.start))
        block = range(edit.start, edit.stop)
        if edit.anchor is None:
            run([*block] * edit.runs, edit.scale)
        elif edit.anchor == MEAN:
            mean: dict[int, float] = {}
            for _ in range(edit.runs):
                run(block, edit.scale)
                mean = _sum(mean, 1.0, given, 1 / edit.runs)
            given = mean
        else:
            first: Mapping[int, float] = {}
            for _ in range(edit.runs):
                before = given
                run(block, edit.scale)
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
