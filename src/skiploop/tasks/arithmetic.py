"""Arithmetic that is made here: five levels, no files, answers of a few digits.

A question is an expression and nothing else. The prompt shows four solved lines and the question
as the fifth, because every token costs a pass through the layers. What the packaged model scores
on each level is measured in docs/reference/tasks.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, product

from skiploop.graders.exact import grade_integer, rules_out_integer
from skiploop.tasks.base import (
    SPLITS,
    Example,
    Grade,
    ListTask,
    Split,
    split_by_text,
    take_turns,
    text_position,
)
from skiploop.tasks.key import question_key
from skiploop.tasks.levels import read_levels

_Questions = Iterator[tuple[str, int]]

_SHOTS = (
    ("6 * 7", 42),
    ("2 + 9 + 6", 17),
    ("23 * 4", 92),
    ("42 + 7", 49),
)
_VALIDATION_SHARE = 0.1
_TEST_SHARE = 0.3
_MAX_PER_KIND = 3000
"""Texts of a kind of question that every part hands out, those first in hash order. Of the others
those of the test part come last in it, and then those of the other parts that are not the same, in
another order, as one that was handed out: questions that older evaluations did not read. These
last ones alone would stand in another part of a task that knows nothing of this, such as a file."""

_PIECE = re.compile(r"\d+|\S")

_ONE = range(1, 10)
_TWO = range(10, 100)


class ArithmeticTask(ListTask):
    """Expressions to be answered directly, graded as integers.

    Levels: 1 sums and products of two one-digit numbers; 2 sums of two numbers, one or both with
    two digits; 3 products and differences of a two-digit and a one-digit number, and sums of three
    one-digit numbers; 4 differences of two-digit numbers, and sums of a two-digit and two
    one-digit numbers; 5 two operations, one of them a multiplication or an exact division.

    Args:
        level: 1 to 5, or several as `(1, 2)` or `"1,2"`: then the levels take turns. It is in
            `example.category` and `example.meta["level"]`.

    Raises:
        ConfigError: A level is not one of 1 to 5, or is given twice.

    Guarantees:
        The splits share no question text, within and between levels; expressions that differ only
        in the order of sums and products are in the same split; the solved lines of the prompt
        are in none (tests/unit/test_tasks_arithmetic.py).
    """

    version = "2"
    max_new_tokens = 5

    def __init__(self, *, level: int | str | Sequence[int] = 2) -> None:
        levels = read_levels("arithmetic", level, _LEVELS)
        parts = [_splits_of(one, slice(_MAX_PER_KIND)) for one in levels]
        splits = {split: take_turns([part[split] for part in parts]) for split in SPLITS}
        later = [_splits_of(one, slice(_MAX_PER_KIND, None)) for one in levels]
        splits["test"] += take_turns([part["test"] for part in later])
        known = {example.group for split in SPLITS for example in splits[split]}
        others = [chain(part["train"], part["validation"]) for part in later]
        splits["test"] += take_turns(
            [[example for example in part if example.group not in known] for part in others]
        )
        super().__init__(name=f"arithmetic-{'+'.join(map(str, levels))}", splits=splits)

    def prompt(self, example: Example) -> str:
        """Return the solved lines and the question, up to the space before the answer.

        The question is spaced as all of the task are: `65+38=` is `65 + 38`.
        """
        lines = [f"{question} = {answer}\n" for question, answer in _SHOTS]
        spaced = " ".join(_PIECE.findall(example.question.rstrip("=? ")))
        return f"{''.join(lines)}{spaced} = "

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts: the whole text must be one integer equal to the gold answer."""
        pairs = zip(examples, texts, strict=True)
        return [grade_integer(text, example.gold) for example, text in pairs]

    def draft(self, example: Example) -> str:
        """Return the digits of the answer."""
        return example.gold

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether the digits so far are not those of the answer."""
        return rules_out_integer(beginning, example.gold)


def _one_digit() -> Iterator[_Questions]:
    yield ((f"{a} + {b}", a + b) for a, b in product(_ONE, _ONE))
    yield ((f"{a} * {b}", a * b) for a, b in product(_ONE, _ONE))


def _sums() -> Iterator[_Questions]:
    for first, second in ((_TWO, _ONE), (_ONE, _TWO), (_TWO, _TWO)):
        yield ((f"{a} + {b}", a + b) for a, b in product(first, second))


def _products() -> Iterator[_Questions]:
    for first, second in ((_TWO, _ONE), (_ONE, _TWO)):
        yield ((f"{a} * {b}", a * b) for a, b in product(first, second))
    yield ((f"{a} + {b} + {c}", a + b + c) for a, b, c in product(_ONE, _ONE, _ONE))
    yield ((f"{a} - {b}", a - b) for a, b in product(_TWO, _ONE))


def _differences() -> Iterator[_Questions]:
    yield ((f"{a} - {b}", a - b) for a, b in product(_TWO, _TWO) if a > b)
    yield ((f"{a} + {b} + {c}", a + b + c) for a, b, c in product(_TWO, _ONE, _ONE))


def _two_operations() -> Iterator[_Questions]:
    factors = [(a, b, c) for a, b, c in product(_ONE, _ONE, _TWO) if a > 1 and b > 1]
    yield ((f"{a} * {b} + {c}", a * b + c) for a, b, c in factors)
    yield ((f"{c} + {a} * {b}", c + a * b) for a, b, c in factors)
    yield ((f"{a} * {b} - {c}", a * b - c) for a, b, c in factors if a * b > c)
    yield ((f"{a * b} / {a} + {c}", b + c) for a, b, c in factors)


_LEVELS: dict[int, Callable[[], Iterator[_Questions]]] = {
    1: _one_digit,
    2: _sums,
    3: _products,
    4: _differences,
    5: _two_operations,
}


def _splits_of(level: int, some: slice) -> dict[Split, list[Example]]:
    """Return some questions of every kind of a level in hash order, by split."""
    shown = {question_key(question) for question, _ in _SHOTS}
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for question, answer in sorted(_questions_of(level, some), key=_hash_order):
        example = Example(
            id=f"arithmetic/{question}",
            question=question,
            gold=str(answer),
            answer_key=str(answer),
            category=f"level {level}",
            meta={"level": level},
        )
        if example.group not in shown:
            split = split_by_text(question, validation=_VALIDATION_SHARE, test=_TEST_SHARE)
            splits[split].append(example)
    return splits


def _questions_of(level: int, some: slice) -> Iterable[tuple[str, int]]:
    for kind in _LEVELS[level]():
        yield from sorted(kind, key=_hash_order)[some]


def _hash_order(question: tuple[str, int]) -> float:
    return text_position(f"order {question[0]}")  # not the position that decides the split
