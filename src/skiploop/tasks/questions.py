"""Plain questions in the `Question: ... Answer:` form, graded by number, text or choice.

`jsonl` adds where the questions come from.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from skiploop.graders.choice import grade_choice
from skiploop.graders.exact import (
    grade_first_number,
    grade_text,
    parse_number,
    rules_out_first_number,
    rules_out_text,
)
from skiploop.graders.spelling import cased, folded
from skiploop.tasks.base import SPLITS, Example, Grade, ListTask, Split


@dataclass(frozen=True)
class Solved:
    """A question with its answer."""

    question: str
    answer: str
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, example: Example) -> Solved:
        """Return what an example asks for, and its answer."""
        return cls(example.question, example.gold, example.choices)

    def example(self) -> Example:
        """Return an example of it."""
        return Example(self.question, self.question, self.answer, self.choices)


@dataclass(frozen=True)
class Lines:
    """What puts a question, and reads its answer, where the file of all questions is not at hand.

    Attributes:
        shots: Solved questions of every prompt.
        sample: Another one: answers are read as answers to it.
        max_new_tokens: Tokens for a written answer, 0 for choices.
    """

    shots: tuple[Solved, ...]
    sample: Solved
    max_new_tokens: int

    def task(self, name: str) -> QuestionTask:
        """Return a task that knows no other questions."""
        splits: dict[Split, list[Example]] = {
            "train": [self.sample.example()],
            "validation": [],
            "test": [],
        }
        shots = [shot.example() for shot in self.shots]
        return QuestionTask(name, splits, shots=shots, max_new_tokens=self.max_new_tokens)


class QuestionTask(ListTask):
    """Questions after solved ones, answered in one line or by picking a choice.

    An example with choices is answered by the choice with the highest likelihood after the prompt
    and graded by `grade_choice`. One without is answered by text: the first number of the line if
    the gold answer is a number, else the whole line. Case does not matter in a text, unless it is
    all that tells the gold answer from another question or answer.

    Args:
        name: See `ListTask`.
        splits: See `ListTask`; the solved questions must not be in them.
        shots: Solved questions, shown before each question.
        max_new_tokens: Tokens for a written answer, 0 for choices.
    """

    def __init__(
        self,
        name: str,
        splits: Mapping[Split, Sequence[Example]],
        *,
        shots: Sequence[Example],
        max_new_tokens: int,
    ) -> None:
        self._shots = tuple(shots)
        self._others = _differ_in_case_alone([*shots, *chain(*splits.values())])
        super().__init__(
            name, {split: list(map(self._keyed, found)) for split, found in splits.items()}
        )
        self.max_new_tokens = max_new_tokens
        self._prefix = "".join(f"{self.ask(shot)} {shot.gold}\n\n" for shot in shots)

    def _keyed(self, example: Example) -> Example:
        is_cased = not example.choices and example.gold in self._others
        return replace(example, answer_key=cased(example.gold)) if is_cased else example

    @property
    def lines(self) -> Lines:
        """What puts a question as this task does, and reads its answer."""
        sample = next(one for split in SPLITS for one in self.examples(split))
        return Lines(tuple(map(Solved.of, self._shots)), Solved.of(sample), self.max_new_tokens)

    def ask(self, example: Example) -> str:
        """Return one question up to the place where its answer starts."""
        return f"Question: {example.question}\nAnswer:"

    def prompt(self, example: Example) -> str:
        """Return the solved questions and this one, up to the place of its answer."""
        return self._prefix + self.ask(example)

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts; see the class."""
        return [
            grade_question(example, text, self._others.get(example.gold, ()))
            for example, text in zip(examples, texts, strict=True)
        ]

    def draft(self, example: Example) -> str:
        """Return the gold answer as the solved questions show theirs."""
        return "" if example.choices else f" {example.gold}"

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether the number or the words so far are not those of the gold answer."""
        if parse_number(example.gold) is not None:
            return rules_out_first_number(beginning, example.gold)
        return rules_out_text(beginning, example.gold)


def grade_question(example: Example, text: str, others: Collection[str] = ()) -> Grade:
    """Return the verdict on an answer to one question."""
    if example.choices:
        return grade_choice(text, example.choices, example.gold)
    if parse_number(example.gold) is not None:
        return grade_first_number(text, example.gold)
    return grade_text(text, example.gold, others)


def _differ_in_case_alone(examples: Sequence[Example]) -> dict[str, set[str]]:
    """Return, by gold answer, the other questions and answers that only case tells from it."""
    written = [one for one in examples if not one.choices and parse_number(one.gold) is None]
    by_form: dict[str, set[str]] = {}
    for text in {text for example in written for text in (example.question, example.gold)}:
        by_form.setdefault(folded(text), set()).add(cased(text))
    others = {one.gold: by_form[folded(one.gold)] - {cased(one.gold)} for one in written}
    return {gold: texts for gold, texts in others.items() if texts}
