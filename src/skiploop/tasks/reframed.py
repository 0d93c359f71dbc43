"""Questions of one task in the prompt of another."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.tasks.base import Example, Grade, Task


class ReframedTask:
    """The questions and verdicts of one task, put as another task puts its own.

    Answers end as the prompt's task says, and have room for those of both.
    """

    def __init__(self, task: Task, form: Task) -> None:
        self._task = task
        self._form = form
        self.name = f"{task.name} in the prompt of {form.name}"
        self.version = f"{task.version} in {form.version}"
        self.max_new_tokens = task.max_new_tokens and max(task.max_new_tokens, form.max_new_tokens)
        self.stop = form.stop if form.max_new_tokens else task.stop

    def examples(self, split: str, limit: int | None = None) -> list[Example]:
        """Return the first `limit` questions of a split; see `Task`."""
        return self._task.examples(split, limit)

    def prompt(self, example: Example) -> str:
        """Return the question as the other task would put it."""
        return self._form.prompt(example)

    def grade(self, example: Example, text: str) -> Grade:
        """Return the verdict of the question's own task."""
        return self._task.grade(example, text)

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts of the questions' own task."""
        return self._task.grade_many(examples, texts)

    def draft(self, example: Example) -> str:
        """Return a right answer as it stands after the other task's prompt."""
        return self._form.draft(example)

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether the questions' own task rules out every text that starts so."""
        return self._task.can_only_be_wrong(example, beginning)
