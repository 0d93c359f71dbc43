"""Pairs of a question and a program -> graded trials, each pair at most once per run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from skiploop.program import Program
from skiploop.search.trials import Trial, TrialStore
from skiploop.tasks.base import Example, Grade, Task

if TYPE_CHECKING:
    from skiploop.completion import Completion
    from skiploop.stack import LayerStack

Pair = tuple[Example, Program]
Progress = Callable[[Sequence[Trial]], None]

ROWS_PER_CALL = 64
"""Rows handed to the model at once, and the most trials that a crash can lose."""


class TrialRunner:
    """Runs, grades and records.

    Args:
        stack: The frozen model.
        task: Gives prompts and verdicts.
        store: Remembers every trial.
        progress: Called with the trials of each finished call.

    Guarantees:
        A pair that the store knows is not run again (tests/model/test_runner.py).
    """

    def __init__(
        self,
        stack: LayerStack,
        task: Task,
        store: TrialStore,
        progress: Progress | None = None,
    ) -> None:
        self.stack = stack
        self.task = task
        self.store = store
        self._progress = progress

    def run(self, pairs: Sequence[Pair]) -> list[Trial]:
        """Return the trial of each pair, in order.

        Cost:
            One run of the model per pair that is new, `ROWS_PER_CALL` of them at a time.
        """
        keyed = {(example.id, str(program)): (example, program) for example, program in pairs}
        trials = self.store.get(keyed)
        if trials and self._progress:
            self._progress(list(trials.values()))
        missing = [pair for key, pair in keyed.items() if key not in trials]
        for start in range(0, len(missing), ROWS_PER_CALL):
            new = self._evaluate(missing[start : start + ROWS_PER_CALL])
            self.store.add(new)
            trials.update({(trial.example_id, trial.program): trial for trial in new})
            if self._progress:
                self._progress(new)
        return [trials[example.id, str(program)] for example, program in pairs]

    def _evaluate(self, pairs: Sequence[Pair]) -> list[Trial]:
        examples = [example for example, _ in pairs]
        completions = self._complete(examples, [program for _, program in pairs])
        grades = self._grade(examples, completions)
        return [
            Trial(
                example_id=example.id,
                program=str(completion.program),
                correct=grade.correct,
                text=completion.text,
                answer=grade.answer,
                reason=grade.reason,
                n_tokens=len(completion.token_ids),
                logprob=None if completion.stopped_by == "nan" else completion.logprob,
                n_rows=len(pairs),
            )
            for example, completion, grade in zip(examples, completions, grades, strict=True)
        ]

    def _grade(self, examples: Sequence[Example], completions: Sequence[Completion]) -> list[Grade]:
        gradable = [i for i, c in enumerate(completions) if c.stopped_by != "nan"]
        verdicts = self.task.grade_many(
            [examples[i] for i in gradable], [completions[i].text for i in gradable]
        )
        grades = [Grade(None, reason="the logits were not numbers")] * len(completions)
        for i, verdict in zip(gradable, verdicts, strict=True):
            grades[i] = verdict
        return grades

    def _complete(
        self, examples: Sequence[Example], programs: Sequence[Program]
    ) -> list[Completion]:
        prompts = [self.task.prompt(example) for example in examples]
        if examples[0].choices:
            choices = [[f" {choice}" for choice in example.choices] for example in examples]
            return self.stack.choose(prompts, choices, programs)
        return self.stack.generate(
            prompts, programs, max_new_tokens=self.task.max_new_tokens, stop=self.task.stop
        )
