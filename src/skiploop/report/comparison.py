"""A comparison of methods as a table of words, and what an evaluation elsewhere says in a line."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.evaluation.comparison import Comparison, Interval, Row
from skiploop.evaluation.policy_table import REFERENCE, PolicyRow
from skiploop.report.table import Table
from skiploop.report.words import NOTHING, p_words, percent, ratio_words, share_words
from skiploop.stats import Share

NOT_FASTER = "fewer layers, not faster"
"""What is said of a method that saves layer passes and no time."""

ANSWERS = (
    "right, % (95 % interval)",
    "points (fixed / broken)",
    "exact test, p, Holm",
    "verdict",
    "shuffled answers right, % (95 % interval)",
    "plain model chosen, %",
    "harm, % broken",
)
"""Columns about what a method answers."""

COSTS = (
    "mean layer passes",
    "key-value MB an answer",
    "GFLOP an answer",
    "wall time, plain model = 1",
    "with choosing",
    "choosing, ms a prompt",
    "search and training, s",
)
"""Columns about what it takes."""

NOTE = (
    "All methods on the same held-out questions. fixed / broken: questions that only the method / "
    "only the plain model answers right, harm: the broken ones among all. Shuffled answers: the "
    "same answers, given to other questions. Wall time: measured, each prompt alone, at equal "
    f"numbers of generated tokens. {NOTHING}: not measured."
)


def comparison_tables(found: Comparison) -> tuple[Table, Table]:
    """Return what the methods answered, and what that took, one row a method each."""
    where = "" if found.is_in_distribution else f", learned on {found.trained_on}"
    title = f"{found.task}, {found.split}, {found.n_questions} questions, {found.model}{where}"
    answers = tuple((row.method, *answer_cells(row)) for row in found.rows)
    costs = tuple((row.method, *cost_cells(row, found.n_layers)) for row in found.rows)
    n_read = found.n_read_before
    read = f"{NOTE} {n_read} of the questions were read before." if n_read else NOTE
    return Table(title, ("method", *ANSWERS), answers), Table("", ("method", *COSTS), costs, read)


def answer_cells(row: Row) -> tuple[str, ...]:
    """Return what a method answered, in the order of `ANSWERS`."""
    is_plain = row.method == REFERENCE
    points = f"{100 * (row.fixed - row.broken) / max(row.harm.total, 1):+.1f}"
    return (
        share_words(row.accuracy),
        NOTHING if is_plain else f"{points} ({row.fixed} / {row.broken})",
        p_words(row.p_holm),
        row.verdict or NOTHING,
        _interval_words(row.shuffled),
        percent(row.identity_share.value),
        NOTHING if is_plain else percent(row.harm.value),
    )


def cost_cells(row: Row, n_layers: int) -> tuple[str, ...]:
    """Return what a method took, in the order of `COSTS`."""
    cost = row.cost
    mark = f", {NOT_FASTER}" if row.saves_layers_not_time(n_layers) else ""
    return (
        f"{row.mean_passes:.2f}",
        _scaled(cost.kv_bytes, 1e6),
        _scaled(cost.flops, 1e9),
        ratio_words(cost.time, cost.time_spread),
        ratio_words(cost.time_with_choosing) + mark,
        _scaled(cost.choosing_s, 1e-3),
        _scaled(cost.training_s, 1),
    )


def harm_lines(rows: Sequence[PolicyRow]) -> list[str]:
    """Return, for each policy, how often it keeps the plain model and how much it breaks."""
    return [
        f"{row.policy}: the plain model for {percent(row.identity_share.value)} % of the "
        f"questions; harm: {percent(Share(broken, total).value)} % of them are broken "
        f"({broken} of {total})"
        for row in rows
        if row.against_identity
        for broken, total in [(row.against_identity.only_second, row.against_identity.total)]
    ]


def _interval_words(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    return f"{percent(found.value)} ({percent(found.low)} to {percent(found.high)})"


def _scaled(value: float | None, unit: float) -> str:
    """Return a number in a unit with three digits, or all that it has before the point."""
    if value is None:
        return NOTHING
    return f"{value / unit:.3g}" if value < 1000 * unit else f"{value / unit:.0f}"
