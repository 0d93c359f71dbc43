"""Random edits of the plain model: what any choice has to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skiploop.program import Program
from skiploop.seeds import derive_seed
from skiploop.space import ProgramSpace


class RandomEditsPolicy:
    """Gives each prompt its own random programs of one edit.

    Args:
        space: Programs that may be drawn, uniformly among its single edits.
        seed: The same seed gives a prompt the same programs.
    """

    name = "random"

    def __init__(self, space: ProgramSpace, seed: int) -> None:
        self.space = space
        self.seed = seed

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return `k` different random programs a prompt, fewer if there are no more."""
        identity = Program.identity(self.space.n_layers)
        edits = self.space.edits(identity)
        ranked = []
        for prompt in prompts:
            rng = random.Random(derive_seed(self.seed, "random edits", prompt))
            drawn = rng.sample(edits, min(k, len(edits)))
            ranked.append([identity.with_edit(edit) for edit in drawn] or [identity])
        return ranked
