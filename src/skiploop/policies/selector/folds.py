"""Folds of questions, none of which tells of a question in another one.

Shapes: the letters of learning (docs/reference/shapes.md).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor


def numbered(groups: Sequence[Hashable]) -> Tensor:
    """Return group_Q, the groups as numbers from 0 in the order in which they first come."""
    number_of: dict[Hashable, int] = {}
    return torch.tensor([number_of.setdefault(group, len(number_of)) for group in groups])


def deal(group_Q: Tensor, n_folds: int, seed: int) -> Tensor:
    """Return fold_Q, from 0: groups go to folds at random, as many to each, and stay together.

    Args:
        group_Q: Equal numbers for questions that are one.
        n_folds: How many; fewer where there are fewer groups.
        seed: Decides which group goes where.
    """
    groups_G, index_Q = group_Q.unique(return_inverse=True)
    order = torch.randperm(len(groups_G), generator=torch.Generator().manual_seed(seed))
    fold_G = torch.empty_like(order)
    fold_G[order] = torch.arange(len(order)) % n_folds
    return fold_G[index_Q]
