"""From methods to records: what their programs have in common runs once for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from skiploop.evaluation.kept_answers import AnswersOf, KeptAnswers
from skiploop.evaluation.records import Record
from skiploop.policies.base import Answer, Method
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator, Pair
from skiploop.trials.progress import UNWATCHED, Tally
from skiploop.trials.store import Trial

_log = logging.getLogger("skiploop")

ANSWERED_TOGETHER = 32
"""Questions that a method answers together in a way of its own; an interruption loses no more."""


def answer_all(
    methods: Sequence[Method],
    examples: Sequence[Example],
    evaluator: Evaluator,
    progress: Tally = UNWATCHED,
    kept: KeptAnswers | None = None,
) -> list[Record]:
    """Let methods answer questions, each pair of a question and a program once.

    Args:
        methods: Choose programs, or answer in a way of their own.
        examples: Questions.
        evaluator: Runs and grades.
        progress: Told how many answers will come, and about those that are no trials.
        kept: Holds what was answered before in other ways than by programs, and is given the rest.

    Returns:
        For each method and question one record for each answer.
    """
    prompts = [evaluator.prompt(example) for example in examples]
    chosen = [method.choose(prompts) for method in methods]
    pairs = {
        (example, program): None
        for by_example in chosen
        for example, programs in zip(examples, by_example, strict=True)
        for program in programs
    }
    n_others = sum(not method.n_needed for method in methods) * len(examples)
    progress.expect(len(pairs) + n_others)
    known = _Known(evaluator, dict(zip(pairs, evaluator.answer_pairs(list(pairs)), strict=True)))
    records = []
    for method, programs in zip(methods, chosen, strict=True):
        if method.n_needed:
            answered = method.answer_with(examples, programs, known)
            for example, answers in zip(examples, answered, strict=True):
                records += _records(method.name, example, answers)
        else:  # all programs have run, this has not
            _log.info("answers of %s", method.name)
            records += _in_own_way(method, examples, known, progress, kept)
    return records


def _in_own_way(
    method: Method,
    examples: Sequence[Example],
    evaluator: Evaluator,
    progress: Tally,
    kept: KeptAnswers | None,
) -> Iterator[Record]:
    """Yield the records of a method without programs; few questions at once, which are kept."""
    known = kept.of(method) if kept else AnswersOf()
    missing = [example for example in examples if example.id not in known.by_question]
    progress.count(len(examples) - len(missing))
    for start in range(0, len(missing), ANSWERED_TOGETHER):
        some = missing[start : start + ANSWERED_TOGETHER]
        answered = method.answer_with(some, [[] for _ in some], evaluator)
        known.add(
            {
                example.id: _records(method.name, example, answers)
                for example, answers in zip(some, answered, strict=True)
            }
        )
        progress.count(len(some))
    for example in examples:
        yield from known.by_question[example.id]


class _Known(Evaluator):
    """An evaluator that has run some pairs before."""

    def __init__(self, evaluator: Evaluator, trials: dict[Pair, Trial]) -> None:
        super().__init__(evaluator.stack, evaluator.task)
        self._evaluator = evaluator
        self._trials = trials

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        new = [pair for pair in pairs if pair not in self._trials]
        self._trials.update(zip(new, self._evaluator.answer_pairs(new), strict=True))
        return [self._trials[pair] for pair in pairs]


def _records(method: str, example: Example, answers: Sequence[Answer]) -> list[Record]:
    return [
        Record(
            policy=method,
            example_id=example.id,
            rank=rank,
            program=one.program,
            correct=one.correct,
            n_tokens=one.n_tokens,
            text=one.text,
            extra_passes=one.cost.n_passes - one.program.n_slots,
            kv_bytes=one.cost.kv_bytes,
            confidence=one.confidence,
        )
        for rank, one in enumerate(answers)
    ]
