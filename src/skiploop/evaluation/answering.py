"""From methods to records: what their programs have in common runs once for all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from skiploop.evaluation.records import Record
from skiploop.policies.base import Answer, Method
from skiploop.tasks.base import Example
from skiploop.trials.evaluator import Evaluator, Pair
from skiploop.trials.store import Trial

_log = logging.getLogger("skiploop")


def answer_all(
    methods: Sequence[Method],
    examples: Sequence[Example],
    evaluator: Evaluator,
    expect: Callable[[int], None] | None = None,
) -> list[Record]:
    """Let methods answer questions, each pair of a question and a program once.

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
    if expect:
        expect(len(pairs))
    known = _Known(evaluator, dict(zip(pairs, evaluator.answer_pairs(list(pairs)), strict=True)))
    records = []
    for method, programs in zip(methods, chosen, strict=True):
        if not method.n_needed:  # all programs have run, this has not
            _log.info("answers of %s", method.name)
        answered = method.answer_with(examples, programs, known)
        for example, answers in zip(examples, answered, strict=True):
            records += _records(method.name, example, answers)
    return records


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
