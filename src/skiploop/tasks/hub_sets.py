"""The paper's other data sets on the Hugging Face hub, each in the paper's protocol.

Where a set has options to choose from, they are part of the question, lettered from A, and the
answer is a letter in a box. For `box` see `BoxedTask`, for what is raised `load_rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from string import ascii_uppercase
from typing import Literal

from skiploop.errors import ConfigError
from skiploop.tasks.base import Example
from skiploop.tasks.boxed import Box, BoxedTask, lettered_key, with_letters
from skiploop.tasks.hub import cut_splits, load_rows

_ARC = {"easy": "ARC-Easy", "challenge": "ARC-Challenge"}


def gsm8k(*, box: Box = "last") -> BoxedTask:
    """Return grade-school word problems, 1,250 / 250 of the train set and 500 of the test set.

    Source: `openai/gsm8k` (MIT); arXiv 2110.14168.
    """

    def rows(split: str) -> Iterator[Example]:
        found = load_rows("openai/gsm8k", "main", split=split, columns=("question", "answer"))
        for index, row in enumerate(found):
            gold = row["answer"].rpartition("####")[2].strip().replace(",", "")
            yield Example(f"gsm8k/{split}/{index}", row["question"].strip(), gold)

    return BoxedTask("gsm8k", cut_splits(rows("train"), rows("test")), box=box)


def mawps(*, box: Box = "last") -> BoxedTask:
    """Return short word problems, up to 1,250 / 250 of train and validation, 500 of the test set.

    Source: `MU-NLPC/Calc-mawps` (MIT); arXiv 2305.15017, which the paper cites.
    """

    def rows(split: str) -> Iterator[Example]:
        found = load_rows("MU-NLPC/Calc-mawps", split=split, columns=("question", "result"))
        for index, row in enumerate(found):
            question, gold = row["question"].strip(), str(row["result"]).strip()
            yield Example(f"mawps/{split}/{index}", question, gold)

    pool = [*rows("train"), *rows("validation")]
    return BoxedTask("mawps", cut_splits(pool, rows("test")), box=box)


def asdiv(*, box: Box = "last") -> BoxedTask:
    """Return diverse elementary word problems: 1,250 / 250 / 500 of the one split that there is.

    The unit in brackets behind an answer is dropped; questions with several answers, separated by
    semicolons, are left out.

    Source: `EleutherAI/asdiv` (CC BY-NC 4.0); arXiv 2106.15772.
    """
    columns = ("body", "question", "answer", "solution_type")
    rows = load_rows("EleutherAI/asdiv", split="validation", columns=columns)
    pool = [
        Example(
            id=f"asdiv/{index}",
            question=f"{row['body']} {row['question']}".strip(),
            gold=row["answer"].partition(" (")[0].strip(),
            meta={"solution_type": row["solution_type"]},
        )
        for index, row in enumerate(rows)
        if ";" not in row["answer"]
    ]
    return BoxedTask("asdiv", cut_splits(pool), box=box)


def arc(*, subset: Literal["easy", "challenge"] = "challenge", box: Box = "last") -> BoxedTask:
    """Return grade-school science, up to 1,250 / 250 of train and validation, 500 of the test set.

    Raises:
        ConfigError: There is no such subset.

    Source: `allenai/ai2_arc` (CC BY-SA 4.0); arXiv 1803.05457.
    """
    if subset not in _ARC:
        raise ConfigError(f"subset={subset!r} of arc: expected {' or '.join(_ARC)}")

    def rows(split: str) -> Iterator[Example]:
        columns = ("id", "question", "choices", "answerKey")
        for row in load_rows("allenai/ai2_arc", _ARC[subset], split=split, columns=columns):
            options, labels = row["choices"]["text"], row["choices"]["label"]
            yield Example(
                id=f"arc/{row['id']}",
                question=with_letters(row["question"], options),
                group=lettered_key(row["question"], options),
                gold=ascii_uppercase[labels.index(row["answerKey"])],
            )

    pool = [*rows("train"), *rows("validation")]
    return BoxedTask(f"arc-{subset}", cut_splits(pool, rows("test")), box=box)


def mmlu_pro(*, box: Box = "last") -> BoxedTask:
    """Return questions with up to ten options: 1,250 / 250 / 500 of the official test set.

    The subject is in `example.meta["category"]`.

    Source: `TIGER-Lab/MMLU-Pro` (MIT); arXiv 2406.01574.
    """
    columns = ("question_id", "question", "options", "answer_index", "category")
    pool = [
        Example(
            id=f"mmlu-pro/{row['question_id']}",
            question=with_letters(row["question"], row["options"]),
            group=lettered_key(row["question"], row["options"]),
            gold=ascii_uppercase[row["answer_index"]],
            meta={"category": row["category"]},
        )
        for row in load_rows("TIGER-Lab/MMLU-Pro", split="test", columns=columns)
    ]
    return BoxedTask("mmlu-pro", cut_splits(pool), box=box)
