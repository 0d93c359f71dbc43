"""MMLU-Pro, questions with up to ten options, answered by a letter in a box."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase

from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask, lettered_key, with_letters
from skiploop.tasks.hub import cut_splits, load_rows


class MmluProTask(BoxedTask):
    """1,250 / 250 / 500 questions of the official test set; the answer is a letter.

    The options are part of the question. The subject is in `example.meta["category"]`.

    Args:
        box: See `BoxedTask`.

    Raises:
        DownloadError: The hub cannot be reached.

    Source:
        `TIGER-Lab/MMLU-Pro` on the Hugging Face hub (MIT); arXiv 2406.01574.
    """

    def __init__(self, *, box: Box = "last") -> None:
        super().__init__("mmlu-pro", cut_splits(_rows()), box=box)


def _rows() -> Iterator[Example]:
    columns = ("question_id", "question", "options", "answer_index", "category")
    for row in load_rows("TIGER-Lab/MMLU-Pro", split="test", columns=columns):
        yield Example(
            id=f"mmlu-pro/{row['question_id']}",
            question=with_letters(row["question"], row["options"]),
            group=lettered_key(row["question"], row["options"]),
            gold=ascii_uppercase[row["answer_index"]],
            meta={"category": row["category"]},
        )
