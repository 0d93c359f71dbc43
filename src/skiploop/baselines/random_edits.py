"""Random edits of the plain model: what any choice has to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skiploop.errors import DataError
from skiploop.program import Program
from skiploop.seeds import derive_seed
from skiploop.space import ProgramSpace

N_ATTEMPTS = 10_000
"""Draws for one program before there is taken to be none."""


def random_programs(
    like: Sequence[Program], space: ProgramSpace, first_layer: int, seed: int
) -> tuple[Program, ...]:
    """Return different programs, each drawn among those of as many edits as its model.

    Args:
        like: The models; the identity stays itself.
        space: Programs that may be drawn.
        first_layer: Layers before this one run once in every program.
        seed: The same seed gives the same programs.

    Raises:
        DataError: There are no more different programs.
    """
    drawn: dict[Program, None] = {}
    for program in like:
        for attempt in range(N_ATTEMPTS):
            draw_seed = derive_seed(seed, "random programs", str(program), attempt)
            found = space.sample(draw_seed, n_edits=space.n_edits(program))
            if found not in drawn and all(edit.start >= first_layer for edit in found.edits):
                drawn[found] = None
                break
        else:
            raise DataError(
                f"{N_ATTEMPTS} draws from {space} gave no program like {program} that was not "
                f"drawn before: take a menu of fewer programs than {len(like)}"
            )
    return tuple(drawn)


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
