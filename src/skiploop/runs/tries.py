"""How many answers methods ask for at most while they are made, beside the stages of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pkgutil import resolve_name

from skiploop.menus.halving import n_pairs
from skiploop.policies.blr import BEAM
from skiploop.policies.damped import damped_windows
from skiploop.policies.dropping import n_to_drop
from skiploop.policies.mean_iterates import mean_loops
from skiploop.policies.rys import one_block_repeats
from skiploop.policies.sampled import TEMPERATURES
from skiploop.programs.program import Program
from skiploop.runs.folder import RunFolder
from skiploop.runs.methods.calibrated import N_WATCHED
from skiploop.runs.methods.recursion import N_ASKED
from skiploop.runs.policies import find
from skiploop.runs.questions import checking_examples, choosing_examples


def n_tries(name: str, run: RunFolder, n_layers: int) -> int:
    """Return how many answers a method asks for at most to be made, as if nothing was known.

    Args:
        name: From `checked_name`.
        run: Holds the task.
        n_layers: Of the model.
    """
    entry, argument = find(name)
    if not entry.tries:
        return 0
    count: Callable[[RunFolder, int, str], int] = resolve_name(entry.tries)
    return count(run, n_layers, argument)


def one_block(run: RunFolder, n_layers: int, _argument: str) -> int:
    """Return those of a race of all programs that repeat one block, and of its check."""
    return _sweep(run, one_block_repeats(n_layers))


def two_blocks(run: RunFolder, n_layers: int, _argument: str) -> int:
    """Return those of the same, and of a race of pairs of the best."""
    n_combined = BEAM + BEAM * (BEAM - 1) // 2
    return one_block(run, n_layers, "") + _race(run, n_combined)


def windows(run: RunFolder, n_layers: int, _argument: str) -> int:
    """Return those of a race of damped windows, and of its check."""
    return _sweep(run, damped_windows(n_layers))


def loops(run: RunFolder, n_layers: int, _argument: str) -> int:
    """Return those of a race of loops whose mean goes on, and of its check."""
    return _sweep(run, mean_loops(n_layers))


def shortenings(run: RunFolder, n_layers: int, argument: str) -> int:
    """Return those of one layer less at a time, each in turn; without a limit down to one layer."""
    n = n_to_drop("tale", n_layers, float(argument)) if argument else n_layers - 1
    n_programs = 1 + sum(n_layers - n_gone for n_gone in range(n))
    return n_programs * len(choosing_examples(run)) + (0 if argument else _check(run))


def all_blocks(run: RunFolder, n_layers: int, _argument: str) -> int:
    """Return those of a table of all programs that repeat one block."""
    n_questions = min(N_ASKED, len(run.task.examples("train")))
    return n_questions * (1 + len(one_block_repeats(n_layers)))


def watched(run: RunFolder, _n_layers: int, _argument: str) -> int:
    """Return those in which exits are watched."""
    return min(N_WATCHED, len(checking_examples(run)))


def temperatures(run: RunFolder, _n_layers: int, _argument: str) -> int:
    """Return those at each temperature."""
    return len(TEMPERATURES) * len(checking_examples(run))


def _sweep(run: RunFolder, candidates: Sequence[Program]) -> int:
    return _race(run, len(candidates)) + _check(run)


def _race(run: RunFolder, n_programs: int) -> int:
    return n_pairs(len(choosing_examples(run)), 1 + n_programs)  # the plain model races, too


def _check(run: RunFolder) -> int:
    return 2 * len(checking_examples(run))
