"""Layers that add more or less to the states than they do in the plain model.

A layer f of scale a leads from states h to h + a (f(h) - h): at 0 it adds nothing, at 1 it is
itself.
"""

from __future__ import annotations

from torch import Tensor


def scaled(given: Tensor, returned: Tensor, scales: Tensor | float) -> Tensor:
    """Return states to which a layer has added so many times what it adds.

    Args:
        given: States before the layer, of any shape.
        returned: States after it.
        scales: One for all sequences, or one for each.

    Guarantees:
        Where a scale is 1, the states are those after the layer to the last bit.
    """
    more = scales - 1  # before it is rounded: bfloat16 has few numbers near 1, and many near 0
    if isinstance(more, Tensor):
        more = more.to(returned.dtype).view(-1, *[1] * (returned.ndim - 1))
    return returned + more * (returned - given)
