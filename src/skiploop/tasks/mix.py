"""Several tasks as one: their questions take turns."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from skiploop.errors import ConfigError
from skiploop.graders.spelling import exact_form
from skiploop.tasks.base import SPLITS, Example, Grade, Split, Task, check_split, take, take_turns
from skiploop.tasks.key import question_key

_log = logging.getLogger("skiploop")


class MixTask:
    """Questions of several tasks in turns, each with the prompt and the verdict of its own task.

    `example.category` is the name of its task. A question that is the same text in two tasks comes
    once, through the first. One that stands in other splits of other tasks, as official test sets
    do not go by the key, is kept for test before validation and for validation before train.

    Args:
        tasks: At least two different ones, whose answers end alike.

    Raises:
        ConfigError: There are fewer, or their answers cannot be written by one call of the model.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        names = [task.name for task in tasks]
        if len(set(names)) < max(2, len(names)):
            raise ConfigError(
                f"a mix of {', '.join(names) or 'nothing'}: give two different tasks or more, "
                "such as mix:arithmetic+reasoning-gym:chain_sum"
            )
        for task in tasks[1:]:
            first = tasks[0]
            if task.stop != first.stop or (task.max_new_tokens == 0) != (first.max_new_tokens == 0):
                raise ConfigError(
                    f"{first.name} and {task.name} cannot be mixed: answers end at "
                    f"{list(first.stop)} and {list(task.stop)}, within {first.max_new_tokens} and "
                    f"{task.max_new_tokens} tokens (0: choices); mix tasks whose answers end alike"
                )
        self._tasks = tasks
        self.name = f"mix:{'+'.join(names)}"
        self.version = "+".join(["2", *(task.version for task in tasks)])
        self.stop = tasks[0].stop
        self.max_new_tokens = max(task.max_new_tokens for task in tasks)

    def examples(self, split: str, limit: int | None = None) -> list[Example]:
        """Return the first `limit` questions of a split; see `Task`."""
        return take(self._splits[check_split(split)], split, limit, self.name)

    @cached_property
    def _splits(self) -> dict[Split, list[Example]]:
        """All questions of all tasks, made when first asked for."""
        split_of: dict[str, Split] = {}
        texts: set[tuple[str, frozenset[str]]] = set()
        splits: dict[Split, list[Example]] = {}
        n_left_out = 0
        for split in reversed(SPLITS):
            by_task: list[list[Example]] = [[] for _ in self._tasks]
            for number, task in enumerate(self._tasks):
                for example in task.examples(split):
                    text = exact_form(example.question), frozenset(example.choices)
                    names = {example.group, question_key(example.question)}
                    here = [split_of.setdefault(name, split) == split for name in names]
                    if text in texts or not all(here):
                        n_left_out += 1
                        continue
                    texts.add(text)
                    by_task[number].append(
                        replace(example, id=f"{number}/{example.id}", category=task.name)
                    )
            splits[split] = take_turns(by_task)
        if n_left_out:
            _log.info(
                "%s: %d questions of one task stand in another as well and come once",
                self.name,
                n_left_out,
            )
        return splits

    def prompt(self, example: Example) -> str:
        """Return the text that the model continues."""
        return self._task_of(example).prompt(example)

    def grade(self, example: Example, text: str) -> Grade:
        """Return the verdict on the text that the model wrote."""
        return self._task_of(example).grade(example, text)

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts on many texts, those of one task together."""
        grades: dict[int, Grade] = {}
        for task in self._tasks:
            own = [i for i, example in enumerate(examples) if self._task_of(example) is task]
            if own:
                found = task.grade_many([examples[i] for i in own], [texts[i] for i in own])
                grades |= dict(zip(own, found, strict=True))
        return [grades[i] for i in range(len(examples))]

    def draft(self, example: Example) -> str:
        """Return a right answer as a model would write it; see `Task`."""
        return self._task_of(example).draft(example)

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether every text that starts so is wrong; see `Task`."""
        return self._task_of(example).can_only_be_wrong(example, beginning)

    def _task_of(self, example: Example) -> Task:
        number, _, rest = example.id.partition("/")
        if not rest:
            raise ConfigError(
                f"{example.question!r} is of none of the tasks of {self.name}: ask it through one "
                "of them"
            )
        return self._tasks[int(number)]
