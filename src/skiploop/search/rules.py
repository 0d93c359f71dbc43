"""The rules of the tree search as plain functions.

Source: arXiv 2606.06574, section B.3 (selection) and arXiv 2507.07996, section 3 (the same score);
progressive widening: Coulom 2007, with the constants of arXiv 2609.31360.
"""

from __future__ import annotations

import math


def upper_confidence_bound(
    reward: float,
    visits: int,
    *,
    simulations: int,
    n_slots: int,
    n_layers: int,
    exploration: float,
    length_penalty: float,
) -> float:
    """Return the score by which a child is selected: R/v + c * sqrt(ln V / v) - lambda * len / D.

    Args:
        reward: Sum of the rewards in the child's subtree (R).
        visits: Evaluations in the child's subtree (v), at least 1.
        simulations: Evaluations in the whole tree (V), at least 1.
        n_slots: Layer passes of the child's program (len).
        n_layers: Layers of the model (D).
        exploration: Weight of the uncertainty (c).
        length_penalty: Cost of running all layers once (lambda).
    """
    uncertainty = math.sqrt(math.log(simulations) / visits)
    return reward / visits + exploration * uncertainty - length_penalty * n_slots / n_layers


def released_bound(
    reward: float, visits: int, *, root_visits: int, n_slots: int, n_layers: int
) -> float:
    """Return the score of PoLar's released code: R/v - 5 len / D + sqrt(2 ln(V + 1) / v).

    Args:
        reward: Sum of the rewards of the walks through the node (R).
        visits: Walks through it, at least 1 (v).
        root_visits: Walks that have been paid at the root (V).
        n_slots: Layer passes of the node's program (len).
        n_layers: Layers of the model (D).
    """
    uncertainty = math.sqrt(2 * math.log(root_visits + 1) / visits)
    return reward / visits - 5 * n_slots / n_layers + uncertainty


def n_children_allowed(visits: int, *, coefficient: float, exponent: float) -> int:
    """Return how many children a node may have after `visits` evaluations in its subtree.

    Progressive widening: max(1, ceil(coefficient * visits ** exponent)).
    """
    return max(1, math.ceil(coefficient * math.pow(visits, exponent)))
