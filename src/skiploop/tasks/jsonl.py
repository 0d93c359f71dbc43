"""Questions from a file of JSON lines."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path

from skiploop.errors import ConfigError, DataError
from skiploop.graders.exact import normalize_text
from skiploop.tasks.base import SPLITS, Example, Split, check_shares, split_by_text, text_position
from skiploop.tasks.questions import QuestionTask

_EXPECTED = '{"question": "...", "answer": "..."}'
_EXPECTED_CHOICES = '{"question": "...", "choices": ["...", "..."], "answer": 0}'
_SHOTS, _VALIDATION_SHARE, _TEST_SHARE = 4, 0.1, 0.3
_ROOM_TOKENS = 8
"""Tokens for an answer beyond the bytes of the longest gold answer, as for `$` or a unit."""
_N_SHOT_CANDIDATES = 100


class JsonlTask(QuestionTask):
    """One question a line: `{"question", "answer"}`, or `{"question", "choices", "answer"}`.

    The answer is a text or a number; with choices it is the text of the right one or its index
    from 0. Other keys are ignored. All lines are read and checked before the task exists. A line
    belongs to a split by its question text alone, and each split is in hash order. The solved
    questions in the prompt are short ones of the train split and belong to no split.

    Args:
        file: Path of the file, UTF-8, one JSON object a line; empty lines are skipped.
        shots: How many solved questions the prompt shows.
        validation: Share of the questions for validation, in 0..1.
        test: Share of the questions for the test split, in 0..1.

    Raises:
        DataError: The file cannot be read, or a line is no question; the message names the line.
        ConfigError: A share or the number of shots is out of range.
    """

    version = "1"

    def __init__(
        self,
        file: str,
        *,
        shots: int = _SHOTS,
        validation: float = _VALIDATION_SHARE,
        test: float = _TEST_SHARE,
    ) -> None:
        check_shares(validation, test)
        content = _read(Path(file))
        examples = _parse(content, file)
        splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
        for example in sorted(examples, key=lambda one: text_position(_key(one))):
            splits[split_by_text(_key(example), validation=validation, test=test)].append(example)
        shown = _pick_shots(splits["train"], shots, file)
        shown_keys = {_key(example) for example in shown}
        splits["train"] = [one for one in splits["train"] if _key(one) not in shown_keys]
        longest = 0 if examples[0].choices else max(len(one.gold.encode()) for one in examples)
        super().__init__(
            f"jsonl:{Path(file).name}@{hashlib.sha256(content).hexdigest()[:8]}"
            + _changed("shots", shots, _SHOTS)
            + _changed("validation", validation, _VALIDATION_SHARE)
            + _changed("test", test, _TEST_SHARE),
            splits,
            shots=shown,
            max_new_tokens=longest and longest + _ROOM_TOKENS,
        )


def _key(example: Example) -> str:
    """Return what makes two questions the same one."""
    return normalize_text(example.question)


def _changed(option: str, value: float, default: float) -> str:
    return "" if value == default else f",{option}={value:g}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error}): "
            f"give a file of lines such as {_EXPECTED}"
        ) from error


def _parse(content: bytes, file: str) -> list[Example]:
    """Return the questions of all lines that are not empty.

    Raises:
        DataError: A line is no question, the kinds of lines differ, or there is none.
    """
    examples: list[Example] = []
    first: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            examples.append(_parse_line(line, f"{Path(file).name}:{number}"))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
        if bool(examples[-1].choices) != bool(examples[0].choices):
            raise DataError(
                f"{file}, line {number}: choices must be in all lines or in none: split the file"
            )
        gold = examples[-1].gold
        first_number, first_gold = first.setdefault(_key(examples[-1]), (number, gold))
        if first_gold != gold:
            raise DataError(
                f"{file}, line {number}: the question of line {first_number} with another answer "
                f"({gold!r}, not {first_gold!r}): keep one of them"
            )
    if not examples:
        raise DataError(f"{file} has no questions: expected lines such as {_EXPECTED}")
    return examples


def _parse_line(line: bytes, example_id: str) -> Example:
    try:
        row = json.loads(line.decode("utf-8-sig"))
        json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg}, column {error.colno})") from error
    except UnicodeError as error:
        raise ValueError(f"not UTF-8 ({error}): save the file as UTF-8") from error
    except RecursionError as error:
        raise ValueError("not JSON of a sensible depth") from error
    if not isinstance(row, dict):
        raise ValueError(f"not an object, expected {_EXPECTED}")
    for key in ("question", "answer"):
        if key not in row:
            raise ValueError(f"no {key!r}, expected {_EXPECTED} or {_EXPECTED_CHOICES}")
    question = row["question"]
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"'question' is {question!r}, expected a text")
    if "choices" in row:
        choices = _check_choices(row["choices"])
        gold = _right_choice(row["answer"], choices)
        return Example(example_id, question.strip(), gold, choices)
    return Example(example_id, question.strip(), _text_of(row["answer"]))


def _text_of(answer: object) -> str:
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        raise ValueError(f"'answer' is {answer!r}, expected a text or a number")
    if isinstance(answer, float) and not math.isfinite(answer):
        raise ValueError(f"'answer' is {answer!r}, expected a finite number")
    text = str(answer).strip()
    if not text or "\n" in text:
        raise ValueError(f"'answer' is {answer!r}, expected one line that is not empty")
    return text


def _check_choices(choices: object) -> tuple[str, ...]:
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"'choices' is {choices!r}, expected a list of two texts or more")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise ValueError(f"'choices' is {choices!r}, expected texts that are not empty")
    return tuple(choice.strip() for choice in choices)


def _right_choice(answer: object, choices: Sequence[str]) -> str:
    if isinstance(answer, str) and answer.strip() in choices:
        return answer.strip()
    if type(answer) is int and 0 <= answer < len(choices):  # a bool is no index
        return choices[answer]
    raise ValueError(
        f"'answer' is {answer!r}, expected one of the choices or an index "
        f"from 0 to {len(choices) - 1}"
    )


def _pick_shots(train: Sequence[Example], n_shots: int, file: str) -> list[Example]:
    """Return the shortest of the first train questions, so that the prompt stays short."""
    candidates = {_key(one): one for one in train[:_N_SHOT_CANDIDATES]}
    if type(n_shots) is not int or not 0 <= n_shots <= len(candidates):
        raise ConfigError(
            f"shots={n_shots!r} is out of range: {file} has {len(candidates)} questions to show, "
            "give a number from 0 to that, such as --option shots=0"
        )
    return sorted(candidates.values(), key=lambda one: len(one.question))[:n_shots]
