"""What is known of questions before anything is learned from them, in lines."""

from __future__ import annotations

from skiploop.evaluation.data_check import CHANGED, DataCheck
from skiploop.evaluation.outcome import MOST_LOST
from skiploop.report.words import percent

_N_NAMED = 6
"""Categories that are named."""


def data_lines(found: DataCheck) -> list[str]:
    """Return what questions are there, and what they are good for, one line each."""
    n_unused = found.n_questions["validation"]
    unused = f"; {n_unused:,} in 'validation' are not used" if n_unused else ""
    return [
        f"questions: {found.task}",
        f"to learn from: {found.n_taught:,}, {found.n_raced:,} of which choose the programs",
        f"held out: {found.n_judged:,}{unused}",
        f"categories: {_categories(found)}",
        f"favourite answers: '{found.favourite}' is right on "
        f"{percent(found.n_favourite.value)} %; one answer for each category would be right on "
        f"{percent(found.blind)} %, which counts as no gain",
        f"gain that can be shown: {_gain(found)}",
        f"loss that can be ruled out: more than {100 * found.least_loss:.1f} points, if "
        f"{100 * CHANGED:g} % of the answers change (fewer layers may lose {100 * MOST_LOST:g})",
    ]


def _categories(found: DataCheck) -> str:
    if len(found.categories) == 1:
        return "one"
    named = [f"{name} {n:,}" for name, n in found.categories.items()]
    n_more = len(named) - _N_NAMED
    return ", ".join(named[:_N_NAMED]) + (f" and {n_more} more" if n_more > 0 else "")


def _gain(found: DataCheck) -> str:
    if found.least_gain is None:
        return "none, the questions are too few: give some hundreds more"
    return (
        f"{100 * found.least_gain:.1f} points or more, four times of five (on "
        f"{found.n_validated:,} questions while it is learned and again on those held out, three "
        "fixed for each one broken); twice as many questions show half of it"
    )
