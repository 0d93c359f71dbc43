"""From methods to records: what their programs have in common runs once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skiploop.evaluation.records import Record
from skiploop.policies.base import Answer, Method
from skiploop.tasks.base import SPLITS, Example, Grade, Task
from skiploop.trials.evaluator import Evaluator, Pair
from skiploop.trials.store import Trial

if TYPE_CHECKING:
    from skiploop.engine.completion import Completion
    from skiploop.engine.sampling import Sampling


def answer_all(
    methods: Sequence[Method],
    examples: Sequence[Example],
    evaluator: Evaluator,
    expect: Callable[[int], None] | None = None,
) -> list[Record]:
    """Let methods answer questions, each pair of a question and a program once.

    Args:
        methods: Who answers.
        examples: Questions.
        evaluator: Runs and grades.
        expect: Told how many pairs will run, once programs are chosen.

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
        answered = method.answer_with(examples, programs, known)
        for example, answers in zip(examples, answered, strict=True):
            records += _records(method.name, example, answers)
    return records


class _Known:
    """An evaluator that has run some pairs before."""

    def __init__(self, evaluator: Evaluator, trials: dict[Pair, Trial]) -> None:
        self._evaluator = evaluator
        self._trials = trials

    def prompt(self, example: Example) -> str:
        return self._evaluator.prompt(example)

    def answer_pairs(self, pairs: Sequence[Pair]) -> list[Trial]:
        new = [pair for pair in pairs if pair not in self._trials]
        self._trials.update(zip(new, self._evaluator.answer_pairs(new), strict=True))
        return [self._trials[pair] for pair in pairs]

    def sample_pairs(
        self, pairs: Sequence[Pair], sampling: Sampling, seeds: Sequence[int]
    ) -> list[tuple[Completion, Grade]]:
        return self._evaluator.sample_pairs(pairs, sampling, seeds)


def extract(task: Task, prompt: str, texts: Sequence[str]) -> list[str]:
    """Return what the grader of a task takes for the answer in each text, empty if it finds none.

    How a text is read depends on the sort of the gold answer: that of the question with this
    prompt, or else that of the first question.

    Args:
        task: Grades.
        prompt: What the texts are answers to.
        texts: What was written.
    """
    examples = [example for split in SPLITS for example in task.examples(split)]
    example = next((one for one in examples if task.prompt(one) == prompt), examples[0])
    grades = task.grade_many([example] * len(texts), texts)
    return [grade.answer for grade in grades]


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
            confidence=one.confidence,
        )
        for rank, one in enumerate(answers)
    ]
