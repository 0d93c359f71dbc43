"""How much layers change the states of a text: what ShortGPT and the angular block drop go by.

Sources: block influence is of arXiv 2403.03853, the angular distance of arXiv 2403.17887.

Shapes: L layers, the embeddings before them included in states; T tokens, D numbers of a state,
B blocks of layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from skiploop.engine.windows import states_after
from skiploop.programs.segment import Segment
from skiploop.stack import LayerStack


def block_influence(stack: LayerStack, windows: Sequence[Sequence[int]]) -> list[float]:
    """Return the influence of each layer: 1 less the cosine of its input and output, 0..2.

    Returns:
        The mean over tokens. That of the last layer is taken before the final norm.

    Cost:
        One pass over the windows.
    """
    total_L = torch.zeros(stack.n_layers)
    for states_LTD in _states(stack, windows):
        total_L += 1 - cosine_similarity(states_LTD[:-1], states_LTD[1:], dim=-1).mean(-1)
    return [float(total) / len(windows) for total in total_L]


def least_influential(influence: Sequence[float], n: int) -> list[int]:
    """Return the layers that ShortGPT drops: the `n` with the least influence, all at once."""
    return sorted(range(len(influence)), key=lambda layer: influence[layer])[:n]


def angular_distance(stack: LayerStack, windows: Sequence[Sequence[int]], n: int) -> list[float]:
    """Return how far each block of `n` layers turns the states of the last tokens, 0..1.

    Returns:
        For each first layer the mean angle between input and output of the block, over pi.

    Cost:
        One pass over the windows.
    """
    total_B = torch.zeros(stack.n_layers - n + 1)
    for states_LTD in _states(stack, windows):
        states_LD = states_LTD[:, -1]
        cosines_B = cosine_similarity(states_LD[:-n], states_LD[n:], dim=-1)
        total_B += cosines_B.clamp(-1, 1).arccos() / math.pi
    return [float(total) / len(windows) for total in total_B]


def least_turning(distances: Sequence[float], n: int) -> Segment:
    """Return the block of `n` layers with the smallest angular distance, to be skipped."""
    start = min(range(len(distances)), key=lambda first: distances[first])
    return Segment(start, start + n, 0)


def _states(stack: LayerStack, windows: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return states_LTD around all layers, float32 on the CPU, of one window after the other."""
    depths = range(stack.n_layers + 1)
    return [states_after(stack, tokens, depths).float().cpu() for tokens in windows]
