r"""Questions in the paper's protocol: direct answers in `\boxed{}`, 50 tokens.

Source: arXiv 2606.06574, appendix D.2 and D.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from typing import Literal, get_args

from skiploop.box import CLOSED_BOX
from skiploop.errors import ConfigError
from skiploop.graders.math import (
    MAX_ANSWER_LENGTH,
    extract_answer,
    grade_math,
    math_verify_version,
    truncate_after_first_box,
)
from skiploop.graders.number import read_number
from skiploop.graders.spelling import folded, unspaced
from skiploop.tasks.base import SPLITS, Example, Grade, ListTask, Split, digest_of
from skiploop.tasks.key import question_key

Box = Literal["last", "first", "closed"]

_PROMPT = (
    "Solve the following math problem and output ONLY the final answer directly, "
    "formatted strictly as \\boxed{{ANSWER}}.\n"
    "### Problem Start\n"
    "{question}\n"
    "### Problem End\n"
    "Answer:"
)


def with_letters(question: str, options: Sequence[str]) -> str:
    """Return a question with its options, one a line, each after its letter.

    Example:
        >>> print(with_letters("Which is a number?", ["red", "7"]))
        Which is a number?
        A. red
        B. 7
    """
    lettered = zip(ascii_uppercase, options, strict=False)
    return "\n".join(
        [question.strip(), *(f"{letter}. {text.strip()}" for letter, text in lettered)]
    )


def lettered_key(question: str, options: Sequence[str]) -> str:
    """Return one key for a question with its options in any order.

    Example:
        >>> lettered_key("Which?", ["red", "7"]) == lettered_key("Which ?", ["7", "red"])
        True
    """
    return "\n".join([question_key(question), *sorted(map(question_key, options))])


class BoxedTask(ListTask):
    """Questions with the paper's prompt, token limit and grading.

    Args:
        name: See `ListTask`.
        splits: See `ListTask`. Questions whose answer cannot be right in a box, as it is empty,
            too long or has a box's end within, are left out.
        box: Which box counts if the model writes several: the last one, as in PoLar, or the
            first one, as in RE-PoLar. After `closed` the first box that closes ends the answer:
            no token is written after it, where both publications write all 50.

    Attributes:
        box: As given.

    Raises:
        ConfigError: `box` is something else.
        MissingExtraError: math-verify is not installed.
    """

    max_new_tokens = 50

    def __init__(
        self, name: str, splits: Mapping[Split, Sequence[Example]], *, box: Box = "last"
    ) -> None:
        if box not in get_args(Box):
            raise ConfigError(f"box={box!r} of {name}: expected one of {', '.join(get_args(Box))}")
        super().__init__(
            name,
            {
                split: [_keyed(one) for one in found if _fits(one.gold)]
                for split, found in splits.items()
            },
        )
        self.stop = (CLOSED_BOX,) if box == "closed" else ()
        self.box = box
        digest = digest_of(example for split in SPLITS for example in self.examples(split))
        self.version = f"2@{digest}+math-verify{math_verify_version()}+{box}-box"

    def prompt(self, example: Example) -> str:
        """Return the paper's prompt, word for word, as plain text without a chat template."""
        return _PROMPT.format(question=example.question)

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts of `grade_math`."""
        if self.box == "first":
            texts = [truncate_after_first_box(text) for text in texts]
        return grade_math(texts, [example.gold for example in examples])


def boxed_alone(name: str, box: Box) -> BoxedTask:
    """Return a task that puts questions and reads answers as others do, where these are not."""
    sample = Example("sample", "1 + 1", "2")
    return BoxedTask(name, {"train": [sample], "validation": [], "test": []}, box=box)


def _keyed(example: Example) -> Example:
    """Return the example with the key of an answer in a box, where spaces do not matter either."""
    is_number = read_number(example.gold) is not None
    return example if is_number else replace(example, answer_key=unspaced(example.gold))


def _fits(gold: str) -> bool:
    """Whether an answer in a box is found again, so that it can be right."""
    is_found = extract_answer(f"\\boxed{{{gold}}}") == gold.strip()
    return is_found and bool(folded(gold.strip("$ "))) and len(gold) <= MAX_ANSWER_LENGTH
