"""What a report says in sentences: its conclusions, and how to read its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.evaluation.policy_table import REFERENCE, PolicyRow, Verdict, fewest_fixed
from skiploop.evaluation.readings import ReadBefore
from skiploop.report.report import Report
from skiploop.report.words import percent

HOW_TO_READ = (
    "Top-1 is what a user gets: one program for each prompt, chosen without the answer.",
    "An oracle number counts a question as solved if any of several programs solves it, judged "
    "with the gold answer. Nobody can choose that way on a new question, and the number grows with "
    "every program tried, by chance alone: read it next to the chance control, never next to "
    "top-1.",
    "Intervals are 95 % Wilson intervals of one share. Two policies answer the same questions, so "
    "they are compared by McNemar's exact test on the questions on which they differ; Holm's "
    "correction covers all tests of the table. No difference shown does not mean that there is "
    "none.",
    "A policy is called better if two tests show it: it is more often right than the identity, and "
    "by more than the same answers would be if each went to another question of its category. Else "
    "it may just prefer another answer, whatever it is asked.",
    "Accuracy and saving are two claims. Where nothing is right anyway, layers are saved for "
    "nothing: read the executed layers over the questions that are answered right.",
    "An answer that could not be graded is counted as ungraded, neither right nor wrong.",
)
"""How to read the numbers, one paragraph each."""


def conclusions(report: Report) -> list[str]:
    """Return what the tests of the report say, one sentence each."""
    if not report.policies:
        return ["No policy was judged yet: 'skiploop evaluate' does it, on held-out questions."]
    tested = [row for row in report.policies if row.against_identity]
    if not tested:
        return []
    lines = [_weak_prompt_line(report)]
    lines += [_verdict_line(tested, verdict, words) for verdict, words in _WORDS.items()]
    lines += [_fewest_fixed_line(tested), _read_before_line(report.read_before)]
    return [line for line in lines if line]


_WORDS: dict[Verdict, str] = {
    "better": "Better than the identity",
    "not beyond favourite answers": "More often right than the identity, but not shown to gain "
    "more than other favourite answers do",
    "worse": "Worse than the identity",
    "no difference shown": "No difference from the identity shown",
}


def _weak_prompt_line(report: Report) -> str:
    """Say that the plain model is worse than one who reads no question, before any gain."""
    plain = next(row.accuracy.value for row in report.policies if row.policy == REFERENCE)
    if plain is None or report.blind is None or plain >= report.blind:
        return ""
    return (
        f"The plain model is right on {percent(plain)} %, one answer for all questions of a "
        f"category would be on {percent(report.blind)} %: the prompt may be at fault, so mend "
        "it before you believe a gain."
    )


def _verdict_line(rows: Sequence[PolicyRow], verdict: Verdict, words: str) -> str:
    names = ", ".join(row.policy for row in rows if row.verdict == verdict)
    return f"{words} (adjusted p, 5 %): {names}." if names else ""


def _read_before_line(before: ReadBefore | None) -> str:
    """Say how often the questions were read: what was chosen after that was chosen by them."""
    if before is None:
        return ""
    if not before.n_read:
        return "These questions had not been read before in this run."
    some = "These" if before.n_read == before.n_questions else f"{before.n_read} of these"
    times = "once" if before.n_times == 1 else f"{before.n_times} times"
    return (
        f"{some} questions were read {times} before in this run ({', '.join(before.policies)}): "
        "what was changed since then may suit them better than others."
    )


def _fewest_fixed_line(rows: Sequence[PolicyRow]) -> str:
    """Say how much each policy must fix, those together of which the same is true."""
    by_number: dict[int, list[str]] = {}
    for row in rows:
        if row.n_tests is not None:
            by_number.setdefault(fewest_fixed(row.n_tests), []).append(row.policy)
    if len(by_number) == 1:
        numbers = str(*by_number)
    else:
        numbers = "; ".join(f"{n} ({', '.join(names)})" for n, names in by_number.items())
    return (
        f"With {len(rows)} tested, a policy that breaks no answer must fix at least {numbers} to "
        "be called better."
    )
