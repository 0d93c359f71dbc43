"""Questions from lines of JSON, each checked before any of them is used."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

from skiploop.errors import DataError
from skiploop.graders.exact import parse_number
from skiploop.graders.number import MAX_NUMBER_LENGTH
from skiploop.graders.spelling import cased, exact_form
from skiploop.tasks.base import Example
from skiploop.tasks.questions import grade_question

_log = logging.getLogger("skiploop")

EXPECTED = '{"question": "...", "answer": "..."}'
_EXPECTED_CHOICES = '{"question": "...", "choices": ["...", "..."], "answer": 0}'


class _Numeral(str):
    """A number as the file spells it: reading it as a float could change it."""

    __slots__ = ()
    __repr__ = str.__str__


def parse_lines(content: bytes, file: str, name: str) -> list[Example]:
    """Return the questions of all lines that are not empty, each once; `file` is for messages.

    Raises:
        DataError: A line is no question, its right answer is not the one that is judged right,
            the sorts of lines differ, or there is none.
    """
    examples: dict[tuple[str, frozenset[str]], Example] = {}
    first_of: dict[str, tuple[int, Example]] = {}
    n_lines = 0
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            example = _parse_line(line, f"{name}:{number}")
            _check_verdicts(example)
            _check_sort(example, next(iter(examples.values()), example))
            _check_answer(example, *first_of.setdefault(cased(example.question), (number, example)))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
        examples.setdefault((exact_form(example.question), frozenset(example.choices)), example)
        n_lines += 1
    if not examples:
        raise DataError(f"{file} has no questions: expected lines such as {EXPECTED}")
    if n_repeated := n_lines - len(examples):
        _log.info("%s: %d lines repeat an earlier one and do not count", file, n_repeated)
    return list(examples.values())


def _parse_line(line: bytes, example_id: str) -> Example:
    try:
        row = json.loads(
            line.decode("utf-8-sig"),
            parse_int=_Numeral,
            parse_float=_Numeral,
            parse_constant=_Numeral,
        )
        json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg}, column {error.colno})") from error
    except UnicodeError as error:
        raise ValueError(f"not UTF-8 ({error}): save the file as UTF-8") from error
    except RecursionError as error:
        raise ValueError("not JSON of a sensible depth") from error
    if not isinstance(row, dict):
        raise ValueError(f"not an object, expected {EXPECTED}")
    for key in ("question", "answer"):
        if key not in row:
            raise ValueError(f"no {key!r}, expected {EXPECTED} or {_EXPECTED_CHOICES}")
    question = row["question"]
    if not _is_text(question):
        raise ValueError(f"'question' is {question!r}, expected a text")
    category = _category_of(row)
    if "choices" not in row:
        return Example(example_id, question.strip(), _text_of(row["answer"]), category=category)
    listed = _choices_of(row["choices"])
    gold = _right_choice(row["answer"], listed)
    choices: dict[str, str] = {}
    for choice in listed:
        choices.setdefault(exact_form(choice), choice)  # one that is listed twice counts once
    gold = choices[exact_form(gold)]
    return Example(example_id, question.strip(), gold, tuple(choices.values()), category=category)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not isinstance(value, _Numeral) and bool(value.strip())


def _text_of(answer: object) -> str:
    if not isinstance(answer, str):
        raise ValueError(f"'answer' is {answer!r}, expected a text or a number")
    if isinstance(answer, _Numeral) and parse_number(answer) is None:
        raise ValueError(
            f"'answer' is {answer[:40]}, expected a finite number of at most {MAX_NUMBER_LENGTH} "
            "characters"
        )
    text = answer.strip()
    if not text or "\n" in text:
        raise ValueError(f"'answer' is {answer!r}, expected one line that is not empty")
    return text


def _choices_of(choices: object) -> list[str]:
    if not isinstance(choices, list) or not all(map(_is_text, choices)):
        raise ValueError(f"'choices' is {choices!r}, expected texts that are not empty")
    if len(set(map(exact_form, choices))) < 2:
        raise ValueError(
            f"'choices' is {choices!r}, expected a list of two texts or more that differ"
        )
    return [choice.strip() for choice in choices]


def _right_choice(answer: object, choices: Sequence[str]) -> str:
    by_index = {str(index): choice for index, choice in enumerate(choices)}
    if isinstance(answer, _Numeral) and answer in by_index:
        return by_index[answer]
    if isinstance(answer, str) and not isinstance(answer, _Numeral) and answer.strip() in choices:
        return answer.strip()
    raise ValueError(
        f"'answer' is {answer!r}, expected one of the choices or an index "
        f"from 0 to {len(choices) - 1}"
    )


def _category_of(row: dict[str, object]) -> str:
    """Return what a line says about its category, empty if it says nothing."""
    for key in ("category", "kind"):
        if key in row:
            category = row[key]
            if not isinstance(category, str) or not category.strip():
                raise ValueError(f"{key!r} is {category!r}, expected a text that is not empty")
            return category.strip()
    return ""


def _check_verdicts(example: Example) -> None:
    """Refuse a question unless its right answer is right and every other choice is wrong."""
    texts = example.choices or (example.gold,)
    verdicts = [grade_question(example, text).correct for text in texts]
    expected = [text == example.gold for text in texts]
    if verdicts != expected or sum(expected) != 1:
        judged = ", ".join(
            f"{text!r}: {verdict}" for text, verdict in zip(texts, verdicts, strict=True)
        )
        raise ValueError(
            f"right must be {example.gold!r} and nothing else, but the verdicts are {judged}: "
            "write the answer as one plain line, and choices that can be told apart"
        )


def _check_sort(example: Example, first: Example) -> None:
    if bool(example.choices) != bool(first.choices):
        raise ValueError("choices must be in all lines or in none: split the file")
    if bool(example.category) != bool(first.category):
        raise ValueError("a category must be in all lines or in none: add it, or take it out")


def _check_answer(example: Example, number: int, first: Example) -> None:
    if example.gold != first.gold:
        raise ValueError(
            f"the question of line {number} with another answer "
            f"({example.gold!r}, not {first.gold!r}): keep one of them"
        )
