"""The categories of questions about words, each with what makes one question and its right answer.

A category is the beginning of its questions: `plural of` asks for the plural of what comes
after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from skiploop.tasks import word_lists
from skiploop.tasks.word_lists import Entry

Item = TypeVar("Item")

_SIZES = (3, 5)
"""How many words there are to choose from."""


class Draw:
    """Random picks that are the same with every version of Python."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # the one method whose numbers never change

    def one(self, items: Sequence[Item]) -> Item:
        """Return one of some items."""
        return items[int(self._random() * len(items))]

    def some(self, items: Sequence[Item], n: int) -> list[Item]:
        """Return `n` of some items in random order, each once."""
        order = sorted(range(len(items)), key=lambda _: self._random())
        return [items[index] for index in order[:n]]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """Return some items in random order."""
        return self.some(items, len(items))


@dataclass(frozen=True)
class Words:
    """The lists of `word_lists`, or a part of each."""

    colours: Sequence[Entry] = word_lists.COLOURS
    animals: Sequence[Entry] = word_lists.ANIMALS
    fruits: Sequence[Entry] = word_lists.FRUITS
    objects: Sequence[Entry] = word_lists.OBJECTS
    adjectives: Sequence[Entry] = word_lists.ADJECTIVES
    verbs: Sequence[Entry] = word_lists.VERBS
    opposites: Sequence[Entry] = word_lists.OPPOSITES
    capitals: Sequence[Entry] = word_lists.CAPITALS

    @property
    def nouns(self) -> list[Entry]:
        """What has a plural."""
        return [*self.animals, *self.fruits, *self.objects]


@dataclass(frozen=True)
class Asked:
    """What a question asks after the words of its category, and its answer.

    Attributes:
        text: Words with what stands between them.
        answer: The right one.
    """

    text: str
    answer: str


_Make = Callable[[Words, Draw], Asked]


def _at(place: Callable[[int], int]) -> _Make:
    """Choose by place: a number of words to the index among them."""

    def make(words: Words, draw: Draw) -> Asked:
        listed = _first_forms(draw.some(words.nouns, draw.one(_SIZES)))
        return Asked(", ".join(listed), listed[place(len(listed))])

    return make


def _among(name: str, others: str) -> _Make:
    """Choose by sense: one word of a list among those of another."""

    def make(words: Words, draw: Draw) -> Asked:
        (answer,) = _first_forms([draw.one(vars(words)[name])])
        beside = _first_forms(draw.some(vars(words)[others], draw.one(_SIZES) - 1))
        return Asked(", ".join(draw.shuffled([answer, *beside])), answer)

    return make


def _by_alphabet(choose: Callable[[Sequence[str]], str]) -> _Make:
    def make(words: Words, draw: Draw) -> Asked:
        listed = _first_forms(draw.some(words.nouns, 3))
        return Asked(", ".join(listed), choose(listed))

    return make


def _plural(words: Words, draw: Draw) -> Asked:
    noun, plural = draw.one(words.nouns)
    adjective, _ = draw.one([("", ""), draw.one(words.adjectives)])
    return Asked(f"{adjective} {noun}".strip(), f"{adjective} {plural}".strip())


def _past(words: Words, draw: Draw) -> Asked:
    (_, subject), (verb, past) = draw.one(words.animals), draw.one(words.verbs)
    return Asked(f"{subject} {verb}", f"{subject} {past}")


def _partner(name: str, asked: int) -> _Make:
    """Choose what belongs to a word: the other form of its entry among those of two others."""

    def make(words: Words, draw: Draw) -> Asked:
        entry, *others = draw.some(vars(words)[name], 3)
        listed = draw.shuffled([one[1 - asked] for one in (entry, *others)])
        return Asked(f"{entry[asked]}: {', '.join(listed)}", entry[1 - asked])

    return make


def _first_forms(entries: Sequence[Entry]) -> list[str]:
    return [form for form, _ in entries]


CATEGORIES: Mapping[str, _Make] = {
    "first of": _at(lambda n: 0),
    "fruit among": _among("fruits", "objects"),
    "alphabetically last of": _by_alphabet(max),
    "country of": _partner("capitals", 1),
    "animal among": _among("animals", "objects"),
    "alphabetically first of": _by_alphabet(min),
    "capital of": _partner("capitals", 0),
    "colour among": _among("colours", "animals"),
    "verb among": _among("verbs", "adjectives"),
    "opposite of": _partner("opposites", 0),
    "last of": _at(lambda n: n - 1),
    "adjective among": _among("adjectives", "verbs"),
    "past tense of": _past,
    "middle of": _at(lambda n: n // 2),
    "object among": _among("objects", "animals"),
    "plural of": _plural,
}
"""What makes a question, by the words that it starts with; those that are alike stand apart."""
