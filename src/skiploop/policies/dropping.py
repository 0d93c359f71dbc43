"""What all ways to leave out whole layers have in common: how many, and the program without them.

No torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection

from skiploop.errors import ConfigError
from skiploop.programs.program import Program


def n_to_drop(name: str, n_layers: int, n_passes: float) -> int:
    """Return the fewest layers without which a model has no more than some layer passes.

    Args:
        name: Of the method, for the error.
        n_layers: Of the model.
        n_passes: Allowed ones; not a whole number where they are a share of the depth.

    Raises:
        ConfigError: That would be all layers.
    """
    n_kept = min(math.floor(n_passes), n_layers)
    if n_kept < 1:
        raise ConfigError(
            f"{name} drops all {n_layers} layers: allow at least 1 layer pass, such as "
            f"{name.partition(':')[0]}:{math.ceil(0.85 * n_layers)}"
        )
    return n_layers - n_kept


def without(n_layers: int, dropped: Collection[int]) -> Program:
    """Return the plain model without some of its layers."""
    return Program.from_path([i for i in range(n_layers) if i not in dropped], n_layers)
