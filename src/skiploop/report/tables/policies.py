"""The main table of a report, and what its policies run."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.evaluation.policy_table import PolicyRow, fewest_fixed
from skiploop.evaluation.wall_time import Timing
from skiploop.report.table import Table
from skiploop.report.tables.timing import wall_words
from skiploop.report.words import NOTHING, p_words, paired_words, percent, share_words

LENGTH_WORDS = {
    "shorter": "shorter than the model",
    "equal": "as long as the model",
    "longer": "longer than the model",
}


def policies_table(rows: Sequence[PolicyRow], timing: Timing | None = None) -> Table:
    """Return the main table, one row a policy."""
    k = max((k for row in rows for k in row.oracle), default=None)
    header = (
        "policy",
        "graded",
        "ungraded",
        "top-1 accuracy, % (95 % interval)",
        "points over identity (fixed / broken)",
        "McNemar p, Holm",
        "verdict",
        *([f"oracle@{k}, % (looks at the answer)"] if k else []),
        "must fix, none broken",
        "identity chosen, %",
        "mean executed layers",
        "mean new tokens",
        *(["wall time, identity = 1", "wall time with choosing"] if timing else []),
    )
    cells = (
        (
            row.policy,
            str(row.accuracy.total),
            str(row.n_ungraded),
            share_words(row.accuracy),
            paired_words(row.against_identity),
            p_words(row.p_holm),
            row.verdict or NOTHING,
            *([_oracle_words(row, k)] if k else []),
            NOTHING if row.n_tests is None else str(fewest_fixed(row.n_tests)),
            percent(row.identity_share.value),
            f"{row.mean_slots:.2f}",
            f"{row.mean_new_tokens:.1f}",
            *(wall_words(timing, row.policy) if timing else []),
        )
        for row in rows
    )
    note = (
        "top-1: one program for each prompt, chosen without the answer. fixed / broken: questions "
        "that only the policy / only the identity answers right. must fix: fewest questions for "
        "this row to be shown better, as many tests as are left at its step of Holm's procedure."
    )
    if timing:
        note += (
            f" Wall time: at equal numbers of generated tokens, measured on {timing.n_prompts} "
            "prompts, each alone; with choosing: and with what choosing the program takes."
        )
    return Table("Policies", header, tuple(cells), note)


def layers_table(rows: Sequence[PolicyRow]) -> Table:
    """Return executed layers, apart for the questions for which they matter."""
    cells = tuple(
        (
            row.policy,
            percent(row.accuracy.value),
            f"{row.mean_slots:.2f}",
            *(
                NOTHING if mean is None else f"{mean:.2f}"
                for mean in (row.mean_slots_right, row.mean_slots_kept)
            ),
        )
        for row in rows
    )
    note = (
        "Mean executed layers of a prompt token. What is saved where no answer is right anyway is "
        "in the first mean, not in the others."
    )
    header = (
        "policy",
        "top-1 accuracy, %",
        "all questions",
        "questions it answers right",
        "questions the identity answers right",
    )
    return Table("Executed layers", header, cells, note)


def lengths_table(rows: Sequence[PolicyRow]) -> Table:
    """Return accuracy by length of the chosen program."""
    header = (
        "policy",
        "chosen program",
        "questions",
        "accuracy, % (95 % interval)",
        "identity on the same questions, %",
    )
    cells = tuple(
        (
            row.policy,
            LENGTH_WORDS[b.length],
            str(b.n_examples),
            share_words(b.accuracy),
            percent(b.reference.value) if b.reference else NOTHING,
        )
        for row in rows
        for b in row.by_length
        if b.n_examples
    )
    note = (
        "A policy may choose short programs for easy questions: compare with the identity on the "
        "same questions, not across rows."
    )
    return Table("Accuracy by program length", header, cells, note)


def _oracle_words(row: PolicyRow, k: int) -> str:
    """Return the oracle over the best k programs, or over all if the policy gave fewer."""
    if not row.oracle:
        return NOTHING
    own = min(k, max(row.oracle))
    return percent(row.oracle[own].value) + ("" if own == k else f" (k = {own})")
