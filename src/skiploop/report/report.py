"""The report of one run: everything its JSON, Markdown and HTML show, made without a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skiploop.evaluation.blind import blind_accuracy
from skiploop.evaluation.category_table import CategoryRow, category_rows
from skiploop.evaluation.changed_answers import AnswerChange, changed_answers
from skiploop.evaluation.pair_table import PairRow, pair_rows
from skiploop.evaluation.policy_table import PolicyRow, policy_rows
from skiploop.evaluation.readings import ReadBefore
from skiploop.evaluation.records import Record
from skiploop.evaluation.risk_table import RiskRow, risk_rows
from skiploop.evaluation.search_table import SearchTable
from skiploop.evaluation.wall_time import Timing
from skiploop.tasks.base import Example

if TYPE_CHECKING:
    from skiploop.evaluation.shuffled_answers import ShuffledAnswers
    from skiploop.menus.menu import Menu
    from skiploop.policies.selector.calibration import CalibrationBin

FORMAT = 1
"""Version of the layout of `report.json`; changes when a key changes its place or meaning."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report shows.

    Attributes:
        title: Task, part and model, such as "arithmetic level 2, test, smollm2-135m".
        policies: One row a policy, the identity first.
        blind: Share of right answers of one who knows the category of a question and no more; None
            without questions.
        shuffled_answers: By policy, right answers if its answers went to other questions like
            theirs.
        pairs: One row for each two policies other than the identity.
        categories: One row for each category of question, none if there is only one.
        risk: Some rows a policy, of its surest answers.
        calibration: How well programs did of which the selector expected so much, on the questions
            that it learned from; none without a selector.
        menu: What was chosen from, None if there was no menu.
        search: The search's table, None if there was no search.
        changed_answers: Answers that a policy changed.
        read_before: What earlier evaluations of the run have read of the questions.
        timing: Wall times, None if they were not measured.
        provenance: Where the numbers come from.
    """

    title: str
    policies: tuple[PolicyRow, ...] = ()
    blind: float | None = None
    shuffled_answers: Mapping[str, ShuffledAnswers] = field(default_factory=dict)
    pairs: tuple[PairRow, ...] = ()
    categories: tuple[CategoryRow, ...] = ()
    risk: tuple[RiskRow, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    menu: Menu | None = None
    search: SearchTable | None = None
    changed_answers: tuple[AnswerChange, ...] = ()
    read_before: ReadBefore | None = None
    timing: Timing | None = None
    provenance: Mapping[str, object] = field(default_factory=dict)

    def figures(self) -> dict[str, object]:
        """Return what `report.json` holds; times stand under `timing` only, to compare runs."""
        facts = dict(self.provenance)
        made_at = facts.pop("time", None)
        return {
            "format": FORMAT,
            "title": self.title,
            "policies": self.policies,
            "blind": self.blind,
            "shuffled_answers": self.shuffled_answers,
            "pairs": self.pairs,
            "categories": self.categories,
            "risk": self.risk,
            "calibration": self.calibration,
            "menu": self.menu,
            "search_table": self.search,
            "changed_answers": self.changed_answers,
            "read_before": self.read_before,
            "provenance": facts,
            "timing": {"made_at": made_at, **(self.timing.figures() if self.timing else {})},
        }


def build_report(
    records: Iterable[Record],
    *,
    title: str,
    examples: Sequence[Example] = (),
    shuffled_answers: Mapping[str, ShuffledAnswers] | None = None,
    menu: Menu | None = None,
    search: SearchTable | None = None,
    timing: Timing | None = None,
    provenance: Mapping[str, object] | None = None,
) -> Report:
    """Return the report of one run, whose policies answered the same questions.

    Raises:
        DataError: The records do not make one table (see `policy_rows`).
    """
    records = list(records)
    return Report(
        title=title,
        policies=tuple(policy_rows(records, examples, shuffled_answers)),
        blind=blind_accuracy(examples),
        shuffled_answers=shuffled_answers or {},
        pairs=tuple(pair_rows(records, examples)),
        categories=tuple(category_rows(records, examples)),
        risk=tuple(risk_rows(records)),
        menu=menu,
        search=search,
        changed_answers=changed_answers(records, examples),
        timing=timing,
        provenance=provenance or {},
    )
