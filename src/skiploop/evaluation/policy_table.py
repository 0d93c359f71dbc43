"""Records to numbers: one row a policy, each compared with the identity on the same questions.

A verdict of None leaves an answer out of every share; it is counted on its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from skiploop.errors import DataError
from skiploop.evaluation.records import Record
from skiploop.stats import SIGNIFICANCE, Mean, Paired, Share, holm, holm_tests
from skiploop.tasks.base import Example

if TYPE_CHECKING:
    from skiploop.evaluation.shuffled_answers import ShuffledAnswers

REFERENCE = "identity"
"""Name of the policy with which all others are compared."""

Length = Literal["shorter", "equal", "longer"]
Verdict = Literal["better", "not beyond favourite answers", "worse", "no difference shown"]


@dataclass(frozen=True)
class LengthBin:
    """Top-1 answers of programs that are shorter or longer than the model, or as long.

    Attributes:
        length: Which of the three.
        n_examples: Questions for which the policy chose such a program.
        accuracy: Their right answers.
        reference: Right answers of the identity on the same questions; None for the identity
            itself, or without one. Policies choose short programs for easy questions, so only
            this pair of numbers says what the programs did.
    """

    length: Length
    n_examples: int
    accuracy: Share
    reference: Share | None


@dataclass(frozen=True, kw_only=True)
class PolicyRow:
    """One policy on one set of questions.

    Attributes:
        policy: Name.
        n_examples: Questions asked.
        n_ungraded: Top-1 answers without a verdict.
        accuracy: Right top-1 answers; the gold answer was not looked at to choose the program.
        against_identity: Top-1 verdicts of this policy (first) and of the identity (second); None
            for the identity itself, or without one.
        p_holm: Its p-value, adjusted over all policies in the table.
        n_tests: By how many tests that adjustment multiplies it.
        beyond: Difference of the shares of right answers that is left when each is counted above
            what the same answers are worth if they go to other questions; None if none
            could.
        p_better: The larger of the p-values of `against_identity` and `beyond`, adjusted.
        oracle: By k from 2 to the longest list of programs: questions that at least one of the
            best k programs answers right, judged with the gold answer. A program without a
            verdict counts as not tried.
        identity_share: Top-1 programs that are the identity, all of whose passes ran.
        mean_slots: Executed layer passes of the top-1 program, of a vote those of all programs
            asked, mean over questions.
        mean_slots_right: Mean over those that it answers right; None without one.
        mean_slots_kept: Mean over those that the identity answers right; None without one.
        mean_new_tokens: Length of the top-1 answer, mean over questions.
        n_skipped: By layer, top-1 programs that skip it.
        n_repeated: By layer, top-1 programs that run it more than once.
        by_length: Accuracy for shorter, equally long and longer top-1 programs.
    """

    policy: str
    n_examples: int
    n_ungraded: int
    accuracy: Share
    against_identity: Paired | None
    p_holm: float | None
    n_tests: int | None
    beyond: Mean | None
    p_better: float | None
    oracle: Mapping[int, Share]
    identity_share: Share
    mean_slots: float
    mean_slots_right: float | None
    mean_slots_kept: float | None
    mean_new_tokens: float
    n_skipped: tuple[int, ...]
    n_repeated: tuple[int, ...]
    by_length: tuple[LengthBin, ...]

    @property
    def verdict(self) -> Verdict | None:
        """What the adjusted tests say about this policy against the identity."""
        if self.against_identity is None or self.p_holm is None or self.p_better is None:
            return None
        if self.p_holm >= SIGNIFICANCE:
            return "no difference shown"
        if self.against_identity.only_first < self.against_identity.only_second:
            return "worse"
        is_beyond = self.beyond is None or self.beyond.value > 0
        if is_beyond and self.p_better < SIGNIFICANCE:
            return "better"
        return "not beyond favourite answers"

    def figures(self) -> dict[str, object]:
        """Return all numbers by name."""
        against = self.against_identity
        return {
            "policy": self.policy,
            "n_examples": self.n_examples,
            "n_ungraded": self.n_ungraded,
            "accuracy": self.accuracy,
            "against_identity": against and {**against.figures(), "p_holm": self.p_holm},
            "fewest_fixed": self.n_tests and fewest_fixed(self.n_tests),
            "beyond_favourites": self.beyond and {**self.beyond.figures(), "p_holm": self.p_better},
            "verdict": self.verdict,
            "oracle": {str(k): share for k, share in self.oracle.items()},
            "identity_share": self.identity_share,
            "mean_slots": self.mean_slots,
            "mean_slots_right": self.mean_slots_right,
            "mean_slots_identity_right": self.mean_slots_kept,
            "mean_new_tokens": self.mean_new_tokens,
            "n_skipped": self.n_skipped,
            "n_repeated": self.n_repeated,
            "by_length": self.by_length,
        }


def fewest_fixed(n_tests: int) -> int:
    """Return how many questions must be fixed, none broken, for a significant difference.

    A p-value that is the smallest of `n_tests` must be below `SIGNIFICANCE / n_tests`, and b fixed
    questions give p = 2 * 0.5**b.
    """
    n_fixed = 1
    while 2 * 0.5**n_fixed * n_tests >= SIGNIFICANCE:
        n_fixed += 1
    return n_fixed


def policy_rows(
    records: Iterable[Record],
    examples: Sequence[Example] = (),
    shuffled: Mapping[str, ShuffledAnswers] | None = None,
) -> list[PolicyRow]:
    """Return one row a policy, the identity first, the others as they first appear.

    Args:
        records: Of all policies.
        examples: The questions, for their groups; those that are not among them are their own.
        shuffled: From `shuffled_accuracy`; without it no favourite answers are looked for.

    Raises:
        DataError: A record comes twice, the ranks of a question are not 0, 1, 2, ..., policies
            answered different questions, or programs are for models of different size.
    """
    ranked = _ranked(records)
    plain = {id_: found[0].correct for id_, found in ranked.get(REFERENCE, {}).items()}
    shares = {policy: found.by_question for policy, found in (shuffled or {}).items()}
    groups = {example.id: example.group for example in examples}
    rows = [_row(policy, by_id, plain, shares, groups) for policy, by_id in ranked.items()]
    tested = [row.against_identity.p for row in rows if row.against_identity]
    both = [
        max(row.against_identity.p, row.beyond.p if row.beyond else 0.0)
        for row in rows
        if row.against_identity
    ]
    adjusted = zip(holm(tested), holm_tests(tested), holm(both), strict=True)
    return [_adjusted(row, *next(adjusted)) if row.against_identity else row for row in rows]


def _adjusted(row: PolicyRow, p_holm: float, n_tests: int, p_better: float) -> PolicyRow:
    return replace(row, p_holm=p_holm, n_tests=n_tests, p_better=p_better)


def _row(
    policy: str,
    ranked: Mapping[str, Sequence[Record]],
    plain: Mapping[str, bool | None],
    shuffled: Mapping[str, Mapping[str, float]],
    groups: Mapping[str, str],
) -> PolicyRow:
    top = [found[0] for found in ranked.values()]
    reference = {} if policy == REFERENCE else plain  # with itself there is nothing to compare
    of_top = [groups.get(r.example_id, r.example_id) for r in top]
    longest = max(len(found) for found in ranked.values())
    layers = range(top[0].program.n_layers)
    return PolicyRow(
        policy=policy,
        n_examples=len(top),
        n_ungraded=sum(r.correct is None for r in top),
        accuracy=Share.of(r.correct for r in top),
        against_identity=Paired.of(((r.correct, reference[r.example_id]) for r in top), of_top)
        if reference
        else None,
        p_holm=None,
        n_tests=None,
        beyond=_beyond(
            top, reference, (shuffled.get(policy, {}), shuffled.get(REFERENCE, {})), of_top
        ),
        p_better=None,
        oracle={
            k: Share.of(_any_right(found[:k]) for found in ranked.values())
            for k in range(2, longest + 1)
        },
        identity_share=Share.of(r.program.is_identity and r.extra_passes >= 0 for r in top),
        mean_slots=fmean(map(_passes, top)),
        mean_slots_right=_mean_passes(r for r in top if r.correct),
        mean_slots_kept=_mean_passes(r for r in top if plain.get(r.example_id)),
        mean_new_tokens=sum(r.n_tokens for r in top) / len(top),
        n_skipped=tuple(sum(layer not in r.program.path for r in top) for layer in layers),
        n_repeated=tuple(sum(r.program.path.count(layer) > 1 for r in top) for layer in layers),
        by_length=tuple(_bin(top, length, reference) for length in ("shorter", "equal", "longer")),
    )


def _beyond(
    top: Sequence[Record],
    reference: Mapping[str, bool | None],
    shuffled: tuple[Mapping[str, float], Mapping[str, float]],
    groups: Sequence[str],
) -> Mean | None:
    """Return what the policy gains beyond what its answers gain on other questions."""
    if not reference or not shuffled[0]:
        return None
    gained, known_groups = [], []
    for record, group in zip(top, groups, strict=True):
        plain = reference[record.example_id]
        if record.correct is not None and plain is not None:
            ours, others = (shares.get(record.example_id, 0.0) for shares in shuffled)
            gained.append((record.correct - ours) - (plain - others))
            known_groups.append(group)
    return Mean.of(gained, known_groups) if gained else None


def _passes(record: Record) -> float:
    return record.n_slots + record.extra_passes


def _mean_passes(records: Iterable[Record]) -> float | None:
    passes = [_passes(record) for record in records]
    return fmean(passes) if passes else None


def _bin(top: Sequence[Record], length: Length, reference: Mapping[str, bool | None]) -> LengthBin:
    chosen = [r for r in top if _length(r) == length]
    return LengthBin(
        length,
        len(chosen),
        Share.of(r.correct for r in chosen),
        Share.of(reference[r.example_id] for r in chosen) if reference else None,
    )


def _length(record: Record) -> Length:
    extra = record.n_slots - record.program.n_layers
    return "shorter" if extra < 0 else "longer" if extra else "equal"


def _any_right(records: Sequence[Record]) -> bool | None:
    """Return whether one of the graded answers is right, None if none is graded."""
    verdicts = [r.correct for r in records if r.correct is not None]
    return any(verdicts) if verdicts else None


def _ranked(records: Iterable[Record]) -> dict[str, dict[str, list[Record]]]:
    """Return checked records by policy and question, the best rank first."""
    ranked: dict[str, dict[str, list[Record]]] = {}
    sizes = set()
    for record in records:
        ranked.setdefault(record.policy, {}).setdefault(record.example_id, []).append(record)
        sizes.add(record.program.n_layers)
    if len(sizes) > 1:
        raise DataError(f"records are of models with {sorted(sizes)} layers: report one model")
    for policy, by_id in ranked.items():
        for example_id, found in by_id.items():
            found.sort(key=lambda record: record.rank)
            if [record.rank for record in found] != list(range(len(found))):
                raise DataError(
                    f"policy {policy!r} has ranks {[r.rank for r in found]} for {example_id!r}: "
                    "expected 0, 1, 2, ..., each once"
                )
    asked = {example_id for by_id in ranked.values() for example_id in by_id}
    for policy, by_id in ranked.items():
        if missing := sorted(asked - by_id.keys()):
            raise DataError(
                f"policy {policy!r} has no answer to {missing[0]!r} and {len(missing) - 1} more: "
                "compare policies on the same questions"
            )
    return dict(sorted(ranked.items(), key=lambda item: item[0] != REFERENCE))
