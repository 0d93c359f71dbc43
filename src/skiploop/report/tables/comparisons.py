"""Policies on other questions, next to each other, and where they are surest."""

from __future__ import annotations

import math
from collections.abc import Sequence

from skiploop.evaluation.category_table import CategoryRow
from skiploop.evaluation.pair_table import PairRow
from skiploop.evaluation.risk_table import RiskRow
from skiploop.report.report import Report
from skiploop.report.table import Table
from skiploop.report.words import NOTHING, p_words, paired_words, percent, points_words, share_words


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
