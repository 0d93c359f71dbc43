"""ASDiv, diverse elementary word problems, in the paper's protocol."""

from __future__ import annotations

from collections.abc import Iterator

from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask
from skiploop.tasks.hub import cut_splits, load_rows


class AsdivTask(BoxedTask):
    """1,250 / 250 / 500 questions of the one split that ASDiv has.

    The unit in brackets behind an answer is dropped; questions with several answers, separated by
    semicolons, are left out.

    Args:
        box: See `BoxedTask`.

    Raises:
        DownloadError: The hub cannot be reached.

    Source:
        `EleutherAI/asdiv` on the Hugging Face hub (CC BY-NC 4.0); arXiv 2106.15772.
    """

    def __init__(self, *, box: Box = "last") -> None:
        super().__init__("asdiv", cut_splits(_rows()), box=box)


def _rows() -> Iterator[Example]:
    columns = ("body", "question", "answer", "solution_type")
    rows = load_rows("EleutherAI/asdiv", split="validation", columns=columns)
    for index, row in enumerate(rows):
        if ";" not in row["answer"]:
            yield Example(
                id=f"asdiv/{index}",
                question=f"{row['body']} {row['question']}".strip(),
                gold=row["answer"].partition(" (")[0].strip(),
                meta={"solution_type": row["solution_type"]},
            )
