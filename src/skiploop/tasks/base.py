"""The words of every task: a question, its verdict, and what a task can do.

Nothing here knows programs, layers or torch: a task turns questions into prompts and texts into
verdicts.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import Literal, Protocol, get_args, runtime_checkable

from skiploop.arguments import shown, whole_number
from skiploop.config import AtMost
from skiploop.errors import ConfigError, closest
from skiploop.graders.grade import Grade as Grade  # a word of every task, too
from skiploop.graders.writing import one_writing
from skiploop.tasks.key import question_key

_log = logging.getLogger("skiploop")

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Example:
    """One question.

    Attributes:
        id: Unique within the task and stable between runs.
        question: Text of the question, without few-shot examples or instructions.
        gold: The right answer; for multiple choice the text of the right choice.
        choices: Texts to choose from; empty if the answer is free text.
        category: Which sort of question it is, for tables and policies; empty if the task
            has one sort.
        meta: Anything else a task wants to keep, such as the level.
        group: Equal for questions that are one: they share their split and their fold, and count
            once in a test on pairs. The `question_key`, unless the task knows better.
        answer_key: Equal for right answers that the verdicts take for the same, and right itself:
            `one_writing`, unless the task knows better.
    """

    id: str
    question: str
    gold: str
    choices: tuple[str, ...] = ()
    category: str = field(default="", compare=False)
    meta: Mapping[str, object] = field(default_factory=dict, compare=False)
    group: str = field(default="", compare=False)
    answer_key: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", question_key(self.question))  # it is frozen
        if not self.answer_key:
            object.__setattr__(self, "answer_key", one_writing(self.gold, self.choices))


@runtime_checkable
class Task(Protocol):
    """Questions, prompts and grading.

    Attributes:
        name: What `get_task` was given, with every argument that changes the questions.
        version: Changes whenever a prompt, a question or a verdict can change.
        max_new_tokens: Tokens within which an answer must be complete; 0 for multiple choice.
        stop: Strings that end an answer, or `CLOSED_BOX`.
    """

    name: str
    version: str
    max_new_tokens: int
    stop: tuple[str, ...]

    def examples(self, split: str, limit: int | None = None) -> list[Example]:
        """Return the first `limit` questions of a split, the same ones every time; see `take`.

        Raises:
            ConfigError: The split is unknown or holds fewer than `limit` questions.
        """

    def prompt(self, example: Example) -> str:
        """Return the text that the model continues."""

    def grade(self, example: Example, text: str) -> Grade:
        """Return the verdict on the text that the model wrote."""

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts on many texts; slow graders use their own processes here."""

    def draft(self, example: Example) -> str:
        """Return a right answer as a model would write it after the prompt; empty if unknown.

        It makes verdicts cheaper and changes none of them.
        """

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether every text that starts so is wrong; False where that is not known."""


def questions_id(task: Task) -> str:
    """Return what changes whenever a prompt, a question or a verdict of a task can change."""
    return f"{task.name}, version {task.version}"


class ListTask(ABC):
    """What most tasks share: splits that are made once, and grading one text after the other.

    Attributes:
        name, version, max_new_tokens, stop: See `Task`.

    Args:
        name: What `get_task` was given, with every argument that changes the questions.
        splits: The questions of every split, in the order in which they are handed out.
    """

    version: str = "1"
    max_new_tokens: int
    stop: tuple[str, ...] = ("\n",)

    def __init__(self, name: str, splits: Mapping[Split, Sequence[Example]]) -> None:
        self.name = name
        self._splits = splits

    def examples(self, split: str, limit: int | None = None) -> list[Example]:
        """Return the first `limit` questions of a split; see `Task`."""
        return take(self._splits[check_split(split)], split, limit, self.name)

    @abstractmethod
    def prompt(self, example: Example) -> str:
        """Return the text that the model continues."""

    def grade(self, example: Example, text: str) -> Grade:
        """Return the verdict on the text that the model wrote."""
        return self.grade_many([example], [text])[0]

    @abstractmethod
    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts on many texts, one a text."""

    def draft(self, example: Example) -> str:
        """Return nothing: how a right answer is written is not known; see `Task`."""
        return ""

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Return False: only whole texts are judged; see `Task`."""
        return False


def take(examples: Sequence[Example], split: str, limit: int | None, task: str) -> list[Example]:
    """Return the first `limit` examples of a split: the rule of all limits.

    A limit that nobody gave (`AtMost`) takes what there is, and that is said once.

    Raises:
        ConfigError: The limit was given and there are fewer, it is negative, or there are none.
    """
    if limit is None:
        return list(examples)
    number = whole_number("limit", limit, error=ConfigError)
    if isinstance(limit, AtMost):
        if not examples:
            raise ConfigError(f"{task} has no questions in {split!r}: use another split")
        if len(examples) < number:
            _log.info("%s: all %d questions in %r are taken", task, len(examples), split)
    elif not 0 <= number <= len(examples):
        raise ConfigError(
            f"{task} has {len(examples)} questions in {split!r}, asked for {shown(number)}: "
            "lower the limit"
        )
    return list(examples[:number])


def take_turns(lists: Sequence[Sequence[Example]]) -> list[Example]:
    """Return the first of each list, then the second of each, until all are through."""
    rounds = chain.from_iterable(zip_longest(*lists))
    return [example for example in rounds if example is not None]


def check_split(split: str) -> Split:
    """Return a split by its name.

    Raises:
        ConfigError: It is not one of `SPLITS`.
    """
    for known in SPLITS:
        if isinstance(split, str) and split == known:
            return known
    raise ConfigError(f"unknown split {shown(split)}: expected one of {', '.join(SPLITS)}")


def text_position(text: str) -> float:
    """Return a number in 0..1 that depends on the words of a text alone, uniform over texts."""
    digest = hashlib.sha256(" ".join(text.split()).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_by_text(question: str, *, validation: float, test: float) -> Split:
    """Assign a question to a split by its key alone.

    Equal questions always land in the same split, whatever task, order or seed made them.

    Args:
        question: Text; nothing but its `question_key` is looked at.
        validation: Share of questions for validation, in 0..1.
        test: Share of questions for the test part, in 0..1.
    """
    position = text_position(question_key(question))
    if position < test:
        return "test"
    return "validation" if position < test + validation else "train"


def in_splits(
    examples: Iterable[Example], *, validation: float, test: float
) -> dict[Split, list[Example]]:
    """Return questions by split, each split in the order of the hashes of its keys."""
    splits: dict[Split, list[Example]] = {split: [] for split in SPLITS}
    for one in sorted(examples, key=lambda one: text_position(question_key(one.question))):
        splits[split_by_text(one.question, validation=validation, test=test)].append(one)
    return splits


def check_shares(validation: float, test: float) -> None:
    """Refuse shares that leave no room for training questions.

    Raises:
        ConfigError: A share is no number in 0..1, or both add up to more than 1.
    """
    are_numbers = type(validation) in (int, float) and type(test) in (int, float)
    if not are_numbers or not (validation >= 0 and test >= 0 and validation + test <= 1):
        raise ConfigError(
            f"validation={validation!r} and test={test!r} are no shares: "
            "give numbers from 0 to 1 that add up to at most 1"
        )


def check_option(task: str, option: str, known: Sequence[str]) -> None:
    """Refuse an option that a task does not have."""
    if option in known:
        return
    raise ConfigError(
        f"task {task} has no option {option!r}: {closest(option, known)}"
        f"Known: {', '.join(known) or 'none'}"
    )


def digest_of(examples: Iterable[Example]) -> str:
    """Return 8 hexadecimal digits that change with any question, choice or answer."""
    content = hashlib.sha256()
    for example in examples:
        for part in (example.question, example.gold, *example.choices, ""):
            content.update(part.encode() + b"\0")
    return content.hexdigest()[:8]
