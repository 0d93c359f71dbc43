"""The form in which a policy has seen questions, so that a bare one can be put into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from skiploop import config as settings
from skiploop.errors import ConfigError, RunError
from skiploop.tasks import get_task
from skiploop.tasks.asked import AskedTask
from skiploop.tasks.base import Example, Task, questions_id
from skiploop.tasks.boxed import Box, BoxedTask, boxed_alone
from skiploop.tasks.questions import Lines, QuestionTask


@dataclass(frozen=True)
class PromptForm:
    """How the questions were put that a policy learned from, and how their answers end.

    A policy chooses by the states of a prompt: what is not put as then, it has never seen.

    Attributes:
        task: A name that `skiploop.get_task` takes.
        options: Options of the task, as `key=value`.
        questions: The task's name and version then; None if they were not noted.
        lines: What takes the place of a task of one's own file, which may be elsewhere or gone.
        box: Which box counts, in place of a task whose answers stand in boxes: its questions may be
            in such a file, or on a hub.

    Raises:
        RunError: On use, if the task puts its questions in another way now.
    """

    task: str
    options: tuple[str, ...] = ()
    questions: str | None = None
    lines: Lines | None = None
    box: str | None = None

    @classmethod
    def carried(cls, name: str, options: tuple[str, ...], made: Task) -> PromptForm:
        """Return the form of a task for those who have not got its questions."""
        if isinstance(made, QuestionTask):
            return cls(made.name, (), questions_id(made), made.lines)
        if isinstance(made, BoxedTask):
            return cls(made.name, (), questions_id(made), box=made.box)
        return cls(name, options, questions_id(made))

    def prompt(self, question: str) -> str:
        """Return the prompt of a bare question, such as `65 + 38`.

        Raises:
            ConfigError: The task needs more than a question, such as choices, or is a mix.
        """
        if self.task.startswith("mix:"):
            raise ConfigError(
                f"the questions of {self.task} have no one prompt: give a whole prompt"
            )
        if not self.max_new_tokens:
            raise ConfigError(
                f"{self.task} asks for one of several choices, which a bare question does not "
                "name: use skiploop evaluate"
            )
        if not question.strip():
            raise ConfigError("the question is empty: give its text")
        return self.made.prompt(Example("asked", question.strip(), ""))

    def read(self, prompt: str, texts: Sequence[str]) -> list[str]:
        """Return what the task takes for the answer in each text, empty if it finds none."""
        asked = AskedTask(prompt, max_new_tokens=1, reader=self.made)
        grades = asked.grade_many([asked.asked] * len(texts), texts)
        return [grade.answer for grade in grades]

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings that end an answer."""
        return self.made.stop

    @property
    def max_new_tokens(self) -> int:
        """Tokens within which an answer must be complete."""
        return self.made.max_new_tokens

    @cached_property
    def made(self) -> Task:
        """The task, with its options, or what takes its place."""
        if self.lines:
            return self.lines.task(self.task)
        if self.box:
            return boxed_alone(self.task, cast("Box", self.box))
        task = get_task(self.task, **settings.apply_overrides({}, self.options))
        questions = questions_id(task)
        if self.questions not in (None, questions):
            raise RunError(
                f"this policy learned from the questions of {self.questions}, but {self.task} is "
                f"now {questions}: make it again"
            )
        return task
