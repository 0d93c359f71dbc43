"""Random edits of the plain model: what any choice has to beat."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress

from skiploop.arguments import texts, whole_number
from skiploop.errors import ConfigError, DataError, ProgramError
from skiploop.programs.program import Program
from skiploop.programs.scales import shuffled_scales
from skiploop.programs.segment import Segment
from skiploop.programs.space import ProgramSpace
from skiploop.seeds import derive_seed

N_ATTEMPTS = 10_000
"""Draws for one program before there is taken to be none."""


def random_programs(
    like: Sequence[Program], edits: Sequence[Segment], max_block: int, seed: int
) -> tuple[Program, ...]:
    """Return different programs, each with the operations and lengths of its model elsewhere.

    A block that is skipped, repeated or repeated with damping becomes another block that is as
    long and undergoes the same, so the cost of layers weighs on both alike. The anchor of a
    damped loop is drawn, too. Where a program scales layers, its scales go to other layers from the
    first one that it changes on.

    Args:
        like: The models; the identity stays itself.
        edits: What may be drawn.
        max_block: Longest block of one skip; a longer one counts as several.
        seed: The same seed gives the same programs.

    Raises:
        DataError: There are no more different programs.
    """
    of_sort: dict[tuple[int, int, bool], list[Segment]] = {}
    for edit in edits:
        of_sort.setdefault(_sort(edit), []).append(edit)
    drawn: dict[Program, None] = {}
    for program in like:
        does_scale = any(edit.is_scaled for edit in program.edits)
        if does_scale and "loop" in program.kind:
            raise DataError(
                f"{program} scales layers and runs others again: no random one is drawn"
            )
        pieces = [piece for piece in program.segments(max_block) if piece.runs != 1]
        for attempt in range(N_ATTEMPTS):
            rng = random.Random(derive_seed(seed, "random programs", str(program), attempt))
            found = Program.identity(program.n_layers)
            with suppress(ProgramError):  # a layer would be edited twice, or nothing would run
                if does_scale:
                    found = shuffled_scales(program, rng.getrandbits(32), program.edits[0].start)
                else:
                    for piece in pieces:
                        found = found.with_edit(rng.choice(of_sort[_sort(piece)]))
                if found not in drawn and not (does_scale and found == program):
                    drawn[found] = None
                    break
        else:
            raise DataError(
                f"{N_ATTEMPTS} draws from {len(edits)} edits gave no program like {program} that "
                f"was not drawn before: take a menu of fewer programs than {len(like)}"
            )
    return tuple(drawn)


def _sort(edit: Segment) -> tuple[int, int, bool]:
    """Return what a random edit has in common with its model."""
    return len(edit), edit.runs, edit.anchor is None


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
        k = whole_number("k", k, at_least=1, error=ConfigError)
        identity = Program.identity(self.space.n_layers)
        edits = self.space.edits(identity)
        ranked = []
        for prompt in texts("prompts", prompts):
            rng = random.Random(derive_seed(self.seed, "random edits", prompt))
            drawn = rng.sample(edits, min(k, len(edits)))
            ranked.append([identity.with_edit(edit) for edit in drawn] or [identity])
        return ranked
