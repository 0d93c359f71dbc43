"""Block recursion: one or two blocks of any length run twice, for all prompts.

Sources: block-level recursion (openreview hLFRcxXKxY), whose best static route has one block; the
beam over winning blocks is that of RYS (github.com/dnhkng/RYS).

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations

from skiploop.errors import ProgramError
from skiploop.programs.program import Program

BEAM = 8
"""Blocks of which two are combined."""


def two_blocks(ranked: Sequence[Program], beam: int = BEAM) -> list[Program]:
    """Return every combination of two of the best single edits that do not overlap.

    Args:
        ranked: Programs of one edit, the best first; the identity is left out.
        beam: How many of them are combined.
    """
    edits = [program.edits[0] for program in ranked if not program.is_identity][:beam]
    found = []
    for one, other in combinations(edits, 2):
        with suppress(ProgramError):  # they overlap
            plain = Program.identity(ranked[0].n_layers)
            found.append(plain.with_edit(one).with_edit(other))
    return found
