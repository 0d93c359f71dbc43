"""Static repeat: one block of any length runs twice, for all prompts.

Source: RYS ("repeat your self"), github.com/dnhkng/RYS, which runs every block on a few probes.

No torch.
"""

from __future__ import annotations

from skiploop.programs.program import Program
from skiploop.programs.segment import Segment


def one_block_repeats(n_layers: int) -> list[Program]:
    """Return every program that runs one block twice, `n_layers * (n_layers + 1) / 2` of them."""
    return [
        Program(n_layers, (Segment(start, stop, 2),))
        for start in range(n_layers)
        for stop in range(start + 1, n_layers + 1)
    ]
