"""What `skiploop demo` found, in tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from skiploop.cli.show import draw
from skiploop.programs.program import Program
from skiploop.report.table import Table
from skiploop.report.words import p_words, paired_words, percent, ratio_words
from skiploop.stats import holm
from skiploop.tasks.base import Example
from skiploop.trials.store import Trial

if TYPE_CHECKING:
    from skiploop.runs.demonstration import ChangedAnswer, GainShown


def gains_table(found: Sequence[GainShown]) -> Table:
    """Return one row a policy."""
    header = (
        "policy",
        "questions",
        "plain model right, %",
        "chosen programs right, %",
        "points (fixed / broken)",
        "McNemar p, Holm",
        f"mean layer passes, plain = {found[0].n_layers}",
        "wall time, plain = 1",
    )
    adjusted = holm([one.paired.p for one in found])
    rows = tuple(_gain(one, p) for one, p in zip(found, adjusted, strict=True))
    note = (
        "One program for each question, chosen without its answer. fixed / broken: questions that "
        "only the chosen program / only the plain model answers right. The numbers of questions "
        "were fixed beforehand. Wall time: with choosing, some questions, each alone."
    )
    return Table("Held-out questions that nothing was learned from", header, rows, note)


def _gain(one: GainShown, p: float) -> tuple[str, ...]:
    return (
        one.policy,
        str(one.paired.total),
        percent(one.plain.value),
        percent(one.chosen.value),
        paired_words(one.paired),
        p_words(p),
        f"{one.mean_slots:.2f}",
        ratio_words(one.timing.ratio(one.policy), one.timing.spread(one.policy)),
    )


def changed_table(changed: Sequence[ChangedAnswer]) -> Table:
    """Return some changed answers, side by side."""
    header = ("question", "right answer", "plain model", "chosen program", "program")
    rows = tuple(
        (one.question, one.gold, one.plain.strip(), one.chosen.strip(), str(one.program))
        for one in changed
    )
    note = "The first ones that changed, for better or worse."
    return Table("Answers that changed", header, rows, note)


def drawings(programs: Sequence[Program]) -> str:
    """Return every different program, drawn."""
    return "".join(f"{draw(program)}\n" for program in dict.fromkeys(programs))


def search_text(example: Example, trials: Sequence[Trial]) -> str:
    """Return what the search of one question found, with the shortest right program drawn."""
    right = [trial.program for trial in trials[1:] if trial.correct]
    what = f"Live search for {example.question!r}, which the plain model answers right:"
    count = (
        f"{len(right)} of {len(trials) - 1} other programs give that answer, {example.gold}, too"
    )
    caution = (
        "The search looks at the right answer, and random programs may give it, too: only the "
        "policies above choose without it."
    )
    if not right:
        return f"{what}\n{count}.\n{caution}\n"
    shortest = min(right, key=lambda program: program.n_slots)
    return f"{what}\n{count}; the shortest of them:\n{draw(shortest)}\n{caution}\n"


def search_figures(example: Example | None, trials: Sequence[Trial]) -> dict[str, object] | None:
    """Return the same as plain data, None if no question was searched."""
    if example is None:
        return None
    tried = [{"program": str(trial.program), "correct": trial.correct} for trial in trials]
    return {"question": example.question, "gold": example.gold, "programs": tried}
