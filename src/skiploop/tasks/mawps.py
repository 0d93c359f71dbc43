"""MAWPS, short word problems, in the paper's protocol."""

from __future__ import annotations

from collections.abc import Iterator

from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask
from skiploop.tasks.hub import cut_splits, load_rows


class MawpsTask(BoxedTask):
    """250 validation and up to 1,250 train questions of the train and validation sets, 500 test.

    Args:
        box: See `BoxedTask`.

    Raises:
        DownloadError: The hub cannot be reached.

    Source:
        `MU-NLPC/Calc-mawps` on the Hugging Face hub (MIT); arXiv 2305.15017, which the paper cites.
    """

    def __init__(self, *, box: Box = "last") -> None:
        pool = [*_rows("train"), *_rows("validation")]
        super().__init__("mawps", cut_splits(pool, _rows("test")), box=box)


def _rows(split: str) -> Iterator[Example]:
    rows = load_rows("MU-NLPC/Calc-mawps", split=split, columns=("question", "result"))
    for index, row in enumerate(rows):
        yield Example(f"mawps/{split}/{index}", row["question"].strip(), str(row["result"]).strip())
