"""ARC, grade-school science questions, answered by a letter in a box."""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Literal

from skiploop.errors import ConfigError
from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask, lettered_key, with_letters
from skiploop.tasks.hub import cut_splits, load_rows

_CONFIGS = {"easy": "ARC-Easy", "challenge": "ARC-Challenge"}


class ArcTask(BoxedTask):
    """250 validation and up to 1,250 train questions of the train and validation sets, 500 test.

    The options are part of the question, lettered from A whatever the data set calls them.

    Args:
        subset: The easy or the challenge questions.
        box: See `BoxedTask`.

    Raises:
        ConfigError: There is no such subset.
        DownloadError: The hub cannot be reached.

    Source:
        `allenai/ai2_arc` on the Hugging Face hub (CC BY-SA 4.0); arXiv 1803.05457.
    """

    def __init__(
        self, *, subset: Literal["easy", "challenge"] = "challenge", box: Box = "last"
    ) -> None:
        if subset not in _CONFIGS:
            raise ConfigError(f"subset={subset!r} of arc: expected {' or '.join(_CONFIGS)}")
        pool = [*_rows(subset, "train"), *_rows(subset, "validation")]
        splits = cut_splits(pool, _rows(subset, "test"))
        super().__init__(f"arc-{subset}", splits, box=box)


def _rows(subset: str, split: str) -> Iterator[Example]:
    columns = ("id", "question", "choices", "answerKey")
    for row in load_rows("allenai/ai2_arc", _CONFIGS[subset], split=split, columns=columns):
        texts, labels = row["choices"]["text"], row["choices"]["label"]
        yield Example(
            id=f"arc/{row['id']}",
            question=with_letters(row["question"], texts),
            group=lettered_key(row["question"], texts),
            gold=ascii_uppercase[labels.index(row["answerKey"])],
        )
