"""Short questions about common words, made here from lists: places, senses, forms and facts.

A question says what it asks, such as `plural of mouse`. The prompt shows one solved question of
each category, the same ones every time, so any question about words can be put into its form. What
the packaged model scores is measured in docs/reference/tasks.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from skiploop.graders.exact import grade_text, rules_out_text
from skiploop.seeds import derive_seed
from skiploop.tasks.base import (
    SPLITS,
    Example,
    Grade,
    ListTask,
    Split,
    take_turns,
    text_position,
)
from skiploop.tasks.key import question_key
from skiploop.tasks.word_categories import CATEGORIES, Draw, Words
from skiploop.tasks.word_lists import Entry

_N_QUESTIONS: dict[Split, int] = {"train": 900, "validation": 150, "test": 450}
"""Of each category."""

_PARTS: dict[Split, tuple[float, float]] = {
    "test": (0.0, 0.3),
    "validation": (0.3, 0.45),
    "train": (0.45, 1.0),
}
"""Which part of each list the words of a split are, in hash order."""

_WORD = re.compile(r"[\w-]+")


class WordsTask(ListTask):
    """Questions with answers of one or two words, graded by their spelling.

    The categories take turns; `example.category` says which it is. A word is of one split, and so
    is what belongs to it: all words of a question, and of its answer.

    Guarantees:
        The splits share no word but those that say what is asked; questions that differ only in
        the order of their words are one; the solved questions of the prompt are in no split
        (tests/unit/test_tasks_words.py).
    """

    version = "1"
    max_new_tokens = 8

    def __init__(self) -> None:
        super().__init__(
            "words",
            {
                split: take_turns([_questions(category, split) for category in CATEGORIES])
                for split in SPLITS
            },
        )

    def prompt(self, example: Example) -> str:
        """Return a solved question of each category and this one, up to the place of its answer."""
        return f"{_solved()}{_ask(example)}"

    def grade_many(self, examples: Sequence[Example], texts: Sequence[str]) -> list[Grade]:
        """Return the verdicts: the first line must be the answer, whatever its case."""
        pairs = zip(examples, texts, strict=True)
        return [grade_text(text, example.gold) for example, text in pairs]

    def draft(self, example: Example) -> str:
        """Return the answer as the solved questions show theirs."""
        return f" {example.gold}"

    def can_only_be_wrong(self, example: Example, beginning: str) -> bool:
        """Whether the words so far are not those of the answer."""
        return rules_out_text(beginning, example.gold)


def _ask(example: Example) -> str:
    return f"Input: {example.question}\nOutput:"


@cache
def _solved() -> str:
    shots = [_drawn(category, "train")[0] for category in CATEGORIES]
    return "".join(f"{_ask(shot)} {shot.gold}\n" for shot in shots)


def _questions(category: str, split: Split) -> list[Example]:
    """Return the questions of one category in one split, without the one that prompts show."""
    drawn = _drawn(category, split)
    return drawn[1:] if split == "train" else drawn


@cache
def _drawn(category: str, split: Split) -> list[Example]:
    """Return different questions of one category; the order of the words makes no difference."""
    n_wanted = _N_QUESTIONS[split] + (split == "train")
    words, draw = _words_of(split), Draw(derive_seed("words", category, split))
    found: dict[str, Example] = {}
    while len(found) < n_wanted:
        asked = CATEGORIES[category](words, draw)
        question = f"{category} {asked.text}"
        group = question_key(f"{category} {' '.join(sorted(_WORD.findall(asked.text)))}")
        example = Example(
            f"words/{question}", question, asked.answer, category=category, group=group
        )
        found.setdefault(group, example)
    return list(found.values())


@cache
def _words_of(split: Split) -> Words:
    return Words(**{name: _part(entries, split) for name, entries in vars(Words()).items()})


def _part(entries: Sequence[Entry], split: Split) -> list[Entry]:
    """Return the entries of a list that belong to a split."""
    ordered = sorted(entries, key=lambda entry: text_position(entry[0]))
    start, stop = (round(share * len(ordered)) for share in _PARTS[split])
    return ordered[start:stop]
