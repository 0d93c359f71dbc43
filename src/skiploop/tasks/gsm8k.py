"""GSM8K, grade-school word problems, in the paper's protocol."""

from __future__ import annotations

from collections.abc import Iterator

from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask
from skiploop.tasks.hub import cut_splits, load_rows


class Gsm8kTask(BoxedTask):
    """1,250 train and 250 validation questions of the official train set, 500 of the test set.

    Args:
        box: See `BoxedTask`.

    Raises:
        DownloadError: The hub cannot be reached.

    Source:
        `openai/gsm8k` on the Hugging Face hub (MIT); arXiv 2110.14168.
    """

    def __init__(self, *, box: Box = "last") -> None:
        super().__init__("gsm8k", cut_splits(_rows("train"), _rows("test")), box=box)


def _rows(split: str) -> Iterator[Example]:
    rows = load_rows("openai/gsm8k", "main", split=split, columns=("question", "answer"))
    for index, row in enumerate(rows):
        gold = row["answer"].rpartition("####")[2].strip().replace(",", "")
        yield Example(f"gsm8k/{split}/{index}", row["question"].strip(), gold)
