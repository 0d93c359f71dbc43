"""SLEB: layers are left out one after the other, each time the one that is missed least.

Unlike a ranking that is made once, every step measures the model that is left: of two layers that
do the same, one goes and the other stays.

Source: arXiv 2402.09025.
"""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.engine.windows import losses
from skiploop.policies.dropping import without
from skiploop.stack import LayerStack

N_WINDOWS = 4
"""Windows of text at most: every step measures the loss about once for each layer."""


def removal_order(
    stack: LayerStack, windows: Sequence[Sequence[int]], n: int, known: Sequence[int] = ()
) -> list[int]:
    """Return the layers to leave out, in this order, of which the first may be known.

    Cost:
        For each step, every layer that is left out for a try, about half a pass over the windows
        each, as the layers before it are run once for all.
    """
    order = list(known)
    while len(order) < n:
        left = [layer for layer in range(stack.n_layers) if layer not in order]
        programs = [without(stack.n_layers, {*order, layer}) for layer in left]
        each = [losses(stack, tokens, programs) for tokens in windows]
        total = dict(zip(left, map(sum, zip(*each, strict=True)), strict=True))
        order.append(min(left, key=lambda layer: total[layer]))
    return order[:n]
