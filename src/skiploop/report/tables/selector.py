"""What a selector chooses from, and how well it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skiploop.report.table import Table
from skiploop.report.words import NOTHING, percent, program_words, share_words

if TYPE_CHECKING:
    from skiploop.menus.menu import Menu
    from skiploop.policies.selector.calibration import CalibrationBin


def calibration_table(bins: Sequence[CalibrationBin]) -> Table:
    """Return how well programs did of which a selector expected so much."""
    cells = tuple(
        (
            percent(one.expected),
            share_words(one.observed),
            str(one.right.total),
            percent(one.right.value),
        )
        for one in bins
    )
    note = (
        "The score: half the verdict, half the probability of drawing the right answer. All "
        "programs on all questions that the selector learned from, each expected without having "
        "seen the question. The last column is another thing: the verdict alone."
    )
    header = ("expected, %", "observed, % (95 % interval)", "answers", "right, %")
    return Table("Calibration", header, cells, note)


def menu_table(menu: Menu) -> Table:
    """Return what each program of a menu adds."""
    covered = [percent(share) for share in menu.oracle_coverage]
    rows = zip(menu.programs, menu.gains, covered or [NOTHING] * len(menu.gains), strict=True)
    note = (
        "Best utility so far: mean over the questions of the race, which chose the programs, of "
        "the highest probability of the right answer, less the cost of its layers if there is one, "
        "among this program and those above it. Oracle coverage: other questions that one of these "
        "programs answers right, judged with the gold answer."
    )
    header = ("program", "layer passes", "best utility so far", "oracle coverage, %")
    cells = tuple(
        (program_words(p), str(p.n_slots), f"{gain:.3f}", share) for p, gain, share in rows
    )
    return Table("Menu", header, cells, note)
