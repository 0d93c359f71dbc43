"""One prompt that somebody asks: what is written gets read, and nobody knows the right answer."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.tasks.base import SPLITS, Example, Grade, ListTask, Task


class AskedTask(ListTask):
    """A task of one prompt without a gold answer; no verdict is ever right or wrong.

    Args:
        prompt: What the model continues.
        max_new_tokens: Most tokens of an answer.
        stop: What ends it.
        reader: The task whose grader finds the answer in a text, so that answers that are the same
            count as one; None to take every text as it is.
    """

    def __init__(
        self,
        prompt: str,
        *,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        reader: Task | None = None,
    ) -> None:
        self.asked = Example("asked", prompt, "")
        super().__init__("asked", {split: [self.asked] for split in SPLITS})
        self.max_new_tokens = max_new_tokens
        self.stop = tuple(stop)
        self.reader = reader

    def prompt(self, example: Example) -> str:
        """Return the prompt as it is."""
        return example.question

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return what is taken for the answer in each text, empty if none is found.

        How a text is read depends on the sort of the gold answer: that of the reader's question
        with this prompt, or else that of its first question.
        """
        if self.reader is None:
            return [Grade(None) for _ in texts]
        known = [example for split in SPLITS for example in self.reader.examples(split)]
        prompt = self.asked.question
        alike = next((one for one in known if self.reader.prompt(one) == prompt), known[0])
        grades = self.reader.grade_many([alike] * len(texts), texts)
        return [Grade(None, answer=grade.answer) for grade in grades]
