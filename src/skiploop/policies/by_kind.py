"""The best single program for each kind of question, where the kinds are given.

What a choice that has to find out the kind by itself is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skiploop.arguments import texts, whole_number
from skiploop.errors import ConfigError, DataError
from skiploop.programs.program import Program
from skiploop.tasks.base import Example
from skiploop.trials.evidence import ScoreTable


class KindPolicy:
    """Gives every prompt the program that was best on training questions of its kind.

    Args:
        programs: By kind.
        kind_of: By prompt; all prompts that will be asked.
    """

    name = "by-kind"

    def __init__(self, programs: Mapping[str, Program], kind_of: Mapping[str, str]) -> None:
        self.programs = programs
        self.kind_of = kind_of

    def rank(self, prompts: Sequence[str], k: int) -> list[list[Program]]:
        """Return one program a prompt, whatever `k` is from 1 on."""
        whole_number("k", k, at_least=1, error=ConfigError)
        return [[self.programs[self.kind_of[prompt]]] for prompt in texts("prompts", prompts)]


def best_by_kind(examples: Sequence[Example], evidence: ScoreTable) -> dict[str, Program]:
    """Return the program with most right answers to the questions of each kind.

    Args:
        examples: The questions of the evidence.
        evidence: The first program is the identity.
    """
    kinds = np.array([example.kind for example in examples])
    best = {}
    for kind in dict.fromkeys(kinds):
        right_QP = evidence.right_QP[kinds == kind] == 1
        column = int(right_QP.mean(0).argmax())
        best[str(kind)] = evidence.programs[column]
    return best


def check_kinds(learned_from: Sequence[Example], asked: Sequence[Example]) -> None:
    """Refuse questions of a kind that nothing was learned about.

    Raises:
        DataError: There are some.
    """
    known = {example.kind for example in learned_from}
    unknown = [example for example in asked if example.kind not in known]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(asked)} questions are of kinds that never occurred among the "
            f"{len(learned_from)} questions learned from, such as {unknown[0].kind!r}: make the "
            "menu with a larger --limit, or judge on other questions"
        )
