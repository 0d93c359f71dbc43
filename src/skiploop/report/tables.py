"""The report's numbers as tables of words, the same for Markdown, HTML and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from skiploop.evaluation.category_table import CategoryRow
from skiploop.evaluation.pair_table import PairRow
from skiploop.evaluation.policy_table import PolicyRow, fewest_fixed
from skiploop.evaluation.risk_table import RiskRow
from skiploop.evaluation.search_table import SearchTable
from skiploop.evaluation.table import Table
from skiploop.evaluation.wall_time import Timing
from skiploop.report.report import Report
from skiploop.report.words import (
    NOTHING,
    p_words,
    paired_words,
    percent,
    points_words,
    ratio_words,
    share_words,
)

if TYPE_CHECKING:
    from skiploop.menus.menu import Menu
    from skiploop.policies.selector.calibration import CalibrationBin


def report_tables(report: Report) -> list[Table]:
    """Return all tables of a report that have something to show, in reading order."""
    tables = []
    if report.policies:
        tables += [
            policies_table(report.policies, report.timing),
            layers_table(report.policies),
            lengths_table(report.policies),
        ]
    tables += comparison_tables(report)
    if report.calibration:
        tables.append(calibration_table(report.calibration))
    if report.menu:
        tables.append(menu_table(report.menu))
    if report.search:
        tables.append(search_words(report.search))
    if report.timing:
        tables.append(timing_table(report.timing))
    if report.provenance:
        tables.append(provenance_table(report.provenance.items()))
    return tables


def comparison_tables(report: Report) -> list[Table]:
    """Return those tables that look at the policies from other sides than the main one."""
    tables = []
    if report.shuffled_answers:
        tables.append(shuffled_answers_table(report))
    if report.pairs:
        tables.append(pairs_table(report.pairs))
    if report.categories:
        tables.append(categories_table(report.categories))
    if report.risk:
        tables.append(risk_table(report.risk))
    return tables


def shuffled_answers_table(report: Report) -> Table:
    """Return what the answers of each policy are worth without their questions."""
    cells = tuple(
        (
            row.policy,
            percent(row.accuracy.value),
            share_words(report.shuffled_answers[row.policy]),
            points_words(row.beyond),
            p_words(row.p_better),
        )
        for row in report.policies
        if row.policy in report.shuffled_answers
    )
    note = (
        "The same answers, each given to other questions of its category that look alike: what a "
        "policy gains here, too, it gains by other favourite answers, not by better ones. Points "
        "beyond: those that are left of its gain over the identity. p: of that and of McNemar's "
        "test the larger one, adjusted (Holm); a policy is better if it is below 0.05."
    )
    header = (
        "policy",
        "top-1 accuracy, %",
        "the same answers, shuffled, % (95 % interval)",
        "points beyond favourite answers (95 % interval)",
        "p, Holm",
    )
    return Table("Answers without their questions", header, cells, note)


def pairs_table(rows: Sequence[PairRow]) -> Table:
    """Return how policies compare with each other."""
    cells = tuple(
        (f"{row.first} / {row.second}", paired_words(row.paired), p_words(row.paired.p))
        for row in rows
    )
    note = "The p-values are not adjusted: they answer a question that was asked before the table."
    header = ("first / second", "points (only first / only second right)", "McNemar p")
    return Table("Policies against each other", header, cells, note)


def categories_table(rows: Sequence[CategoryRow]) -> Table:
    """Return right answers by category of question, one column a policy."""
    policies = list(rows[0].accuracy)
    cells = tuple(
        (
            row.category or NOTHING,
            str(max(share.total for share in row.accuracy.values())),
            *(percent(row.accuracy[policy].value) for policy in policies),
        )
        for row in rows
    )
    note = "Top-1 accuracy, %. Few questions of a category say little; no tests were made here."
    return Table("By category of question", ("category", "graded", *policies), cells, note)


def risk_table(rows: Sequence[RiskRow]) -> Table:
    """Return right answers among the surest ones of each policy."""
    cells = tuple(
        (
            row.policy,
            str(row.coverage),
            str(row.accuracy.total),
            share_words(row.accuracy),
            f"{math.floor(row.threshold * 1e4) / 1e4:.4f}",  # not above the least sure of them
        )
        for row in rows
    )
    note = (
        "Confidence: the probability of the answer; of a vote, the weight of the answer that won "
        "divided by the number of votes; of samples, the share that agrees. Equally sure answers "
        "are kept together. The thresholds are read off these very questions: choose one on other "
        "questions than those it is judged on."
    )
    header = ("policy", "surest, %", "answers", "right, % (95 % interval)", "confidence from")
    return Table("Right answers among the surest", header, cells, note)


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
        "The score: the probability of drawing the right answer. All programs on all questions "
        "that the selector learned from, each expected without having seen the question. The last "
        "column is another thing: whether the most likely answer is the right one."
    )
    header = ("expected, %", "observed, % (95 % interval)", "answers", "right when not drawn, %")
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
    cells = tuple((str(p), str(p.n_slots), f"{gain:.3f}", share) for p, gain, share in rows)
    return Table("Menu", header, cells, note)


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
            *(_wall_words(timing, row.policy) if timing else []),
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


LENGTH_WORDS = {
    "shorter": "shorter than the model",
    "equal": "as long as the model",
    "longer": "longer than the model",
}


def search_words(table: SearchTable) -> Table:
    """Return the search's table in words, one row a share."""
    shares = [
        ("Base (the plain model)", table.base),
        ("Skip, oracle", table.skip_oracle),
        ("Loop, oracle", table.loop_oracle),
        ("Skip & Loop, oracle", table.skip_and_loop_oracle),
    ]
    if table.chance:
        shares += [
            ("Chance: any random program of as many edits, oracle", table.chance.random_oracle),
            (
                "Chance: Base or any random program of as many edits, oracle",
                table.chance.base_or_random_oracle,
            ),
        ]
    shares += [
        ("Base right: a shorter program too, oracle", table.base_right_shorter_oracle),
        ("Base wrong: fixed, oracle", table.base_wrong_fixed_oracle),
        ("Base wrong: fixed by a shorter one, oracle", table.base_wrong_fixed_shorter_oracle),
    ]
    cells = tuple(
        (name, f"{share.count} of {share.total}", share_words(share)) for name, share in shares
    )
    header = ("right answers", "questions", "% (95 % interval)")
    return Table("Search (every oracle looks at the answer)", header, cells, _search_note(table))


def _search_note(table: SearchTable) -> str:
    note = (
        f"{table.n_evaluations} evaluations, {table.n_ungraded_evaluations} of them ungraded and "
        f"taken as not tried; {table.n_ungraded_examples} questions left out because their base "
        "answer could not be graded."
    )
    if not table.chance:
        return (
            f"{note} No chance control was run: the oracle rows have nothing to be compared with."
        )
    paired = table.chance.search_against_random
    return (
        f"{note} Search over chance (Skip & Loop against Base or random, equal evaluations): "
        f"{paired_words(paired)} points, McNemar p {p_words(paired.p)}."
    )


def timing_table(timing: Timing) -> Table:
    """Return wall times at equal numbers of tokens."""
    cells = tuple(
        (
            policy,
            f"{min(s):.3f}",
            f"{max(s):.3f}",
            str(len(s)),
            *_wall_words(timing, policy),
            f"{1000 * timing.choosing_s[policy]:.1f}" if policy in timing.choosing_s else NOTHING,
        )
        for policy, s in timing.wall_s.items()
    )
    header = (
        "policy",
        "fastest, s",
        "slowest, s",
        "repetitions",
        "median, identity = 1",
        "with choosing",
        "choosing, ms a prompt",
    )
    note = (
        f"{timing.n_prompts} prompts, each alone, with {timing.n_tokens} new tokens together in "
        "every repetition, for every policy. ±: how far the ratio may be off for other prompts of "
        "this sort (95 %); more prompts are timed until it is small or time is up."
    )
    return Table("Wall time at equal numbers of generated tokens", header, cells, note)


def provenance_table(facts: Iterable[tuple[str, object]]) -> Table:
    """Return where the numbers come from."""
    cells = tuple((key, NOTHING if value is None else str(value)) for key, value in facts)
    return Table("Provenance", ("fact", "value"), cells)


def _wall_words(timing: Timing, policy: str) -> tuple[str, str]:
    """Return the wall time of a policy next to the identity, without and with choosing."""
    if policy not in timing.wall_s:
        return NOTHING, NOTHING
    spread = timing.spread(policy)
    ratio = ratio_words(timing.ratio(policy)) + (f" ± {spread:.2f}" if spread else "")
    return ratio, ratio_words(timing.ratio_with_choosing(policy))


def _oracle_words(row: PolicyRow, k: int) -> str:
    """Return the oracle over the best k programs, or over all if the policy gave fewer."""
    if not row.oracle:
        return NOTHING
    own = min(k, max(row.oracle))
    return percent(row.oracle[own].value) + ("" if own == k else f" (k = {own})")
