"""Questions from a file of JSON lines."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from skiploop.errors import ConfigError, DataError
from skiploop.files import at_home
from skiploop.tasks.base import Example, check_shares, in_splits
from skiploop.tasks.key import question_key
from skiploop.tasks.lines import EXPECTED, parse_lines
from skiploop.tasks.questions import QuestionTask
from skiploop.tasks.solved_lines import solved_lines

_SHOTS = 4
VALIDATION_SHARE, TEST_SHARE = 0.1, 0.3
_ROOM_TOKENS = 8
"""Tokens for an answer beyond the bytes of the longest gold answer, as for `$` or a unit."""


class JsonlTask(QuestionTask):
    """One question a line: `{"question", "answer"}`, or `{"question", "choices", "answer"}`.

    The answer is a text or a number, kept as the file writes it; with choices it is the text of the
    right one or its index from 0. `category` (or `kind`), in all lines or in none, says what sort
    of question it is. Other keys are ignored. All lines are read and checked before the task
    exists: the right answer of each must be right by the task's own verdict, and no other choice.
    A line that repeats an earlier one does not count. A line belongs to a split by the key of its
    question alone, and each split is in hash order. Questions of one key are a group unless their
    answers differ, as of `a` and `A` where the file asks for the next letter. The solved questions
    in the prompt are of the train split, picked by `solved_lines`, and belong to no split.

    Args:
        file: Path of the file, UTF-8, one JSON object a line; empty lines are skipped.
        shots: How many solved questions the prompt shows.
        validation: Share of the questions for validation, in 0..1.
        test: Share of the questions for the test split, in 0..1.

    Raises:
        DataError: The file cannot be read, or a line is no question; the message names the line.
        ConfigError: A share or the number of shots is out of range.
    """

    version = "3"

    def __init__(
        self,
        file: str,
        *,
        shots: int = _SHOTS,
        validation: float = VALIDATION_SHARE,
        test: float = TEST_SHARE,
    ) -> None:
        check_shares(validation, test)
        content, examples = read_questions(file)
        splits = in_splits(examples, validation=validation, test=test)
        shown = _pick_shots(splits["train"], shots, file)
        shown_keys = {_key(example) for example in shown}
        splits["train"] = [one for one in splits["train"] if _key(one) not in shown_keys]
        longest = 0 if examples[0].choices else max(len(one.gold.encode()) for one in examples)
        super().__init__(
            f"jsonl:{Path(file).name}@{hashlib.sha256(content).hexdigest()[:8]}"
            + _changed("shots", shots, _SHOTS)
            + _changed("validation", validation, VALIDATION_SHARE)
            + _changed("test", test, TEST_SHARE),
            splits,
            shots=shown,
            max_new_tokens=longest and longest + _ROOM_TOKENS,
        )


def read_questions(file: str) -> tuple[bytes, list[Example]]:
    """Return what is in a file of JSON lines, and its questions in their order.

    Raises:
        DataError: The file cannot be read, or a line is no question; the message names the line.
    """
    content = _read(at_home(file))
    return content, _grouped(parse_lines(content, file, Path(file).name))


def _key(example: Example) -> str:
    return question_key(example.question)


def _grouped(examples: Sequence[Example]) -> list[Example]:
    """Return the examples, those of one key in several groups where their answers differ."""
    golds: dict[str, set[str]] = {}
    for example in examples:
        golds.setdefault(example.group, set()).add(example.gold)
    return [
        one if len(golds[one.group]) == 1 else replace(one, group=f"{one.group} = {one.gold}")
        for one in examples
    ]


def _changed(option: str, value: float, default: float) -> str:
    return "" if value == default else f",{option}={value:g}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}): "
            f"give a file of lines such as {EXPECTED}"
        ) from error


def _pick_shots(train: Sequence[Example], n_shots: int, file: str) -> list[Example]:
    candidates = list({_key(one): one for one in train}.values())
    if type(n_shots) is not int or not 0 <= n_shots <= len(candidates):
        raise ConfigError(
            f"shots={n_shots!r} is out of range: {file} has {len(candidates)} questions to show, "
            "give a number from 0 to that, such as --option shots=0"
        )
    return solved_lines(candidates, n_shots)
