"""Every answer about words is right by construction, and no word is in two splits."""

import re
from collections import Counter

import pytest

from skiploop.tasks import SPLITS, Example, get_task
from skiploop.tasks.base import digest_of
from skiploop.tasks.word_categories import CATEGORIES, Draw, Words
from skiploop.tasks.word_lists import ADJECTIVES, ANIMALS, COLOURS, FRUITS, OBJECTS, VERBS

LISTS = vars(Words())
PAIRS = {one: other for entries in LISTS.values() for one, other in entries}
AMONG = {
    "colour": COLOURS,
    "animal": ANIMALS,
    "fruit": FRUITS,
    "object": OBJECTS,
    "adjective": ADJECTIVES,
    "verb": VERBS,
}


@pytest.fixture(scope="module")
def task():
    return get_task("words")


def of_category(task, category):
    return [e for split in SPLITS for e in task.examples(split) if e.category == category]


def listed(example):
    """Return the words between which a question leaves the choice."""
    return example.question.removeprefix(f"{example.category} ").rpartition(": ")[2].split(", ")


def test_a_word_stands_in_one_entry_of_one_list():
    forms = [form for entries in LISTS.values() for entry in entries for form in entry if form]
    assert [form for form, n in Counter(forms).items() if n > 1] == []


def test_there_are_twelve_categories_with_a_thousand_questions_each(task):
    n_of = Counter(e.category for split in SPLITS for e in task.examples(split))
    assert set(n_of) == set(CATEGORIES) and len(n_of) >= 12
    assert min(n_of.values()) >= 1000
    groups = [e.group for split in SPLITS for e in task.examples(split)]
    assert len(set(groups)) == len(groups) == sum(n_of.values())


def test_categories_take_turns(task):
    for split in SPLITS:
        assert [e.category for e in task.examples(split, 2 * len(CATEGORIES))] == 2 * list(
            CATEGORIES
        )


def test_no_word_that_is_asked_about_or_answered_is_in_two_splits(task):
    words = {}
    for split in SPLITS:
        shown = shots(task) if split == "train" else []
        for example in [*task.examples(split), *shown]:
            category = next(
                category for category in CATEGORIES if example.question.startswith(category)
            )
            text = f"{example.question.removeprefix(category)} {example.gold}"
            words.setdefault(split, set()).update(re.findall(r"[\w-]+", text))
    assert not words["train"] & words["test"]
    assert not words["train"] & words["validation"]
    assert not words["validation"] & words["test"]


def shots(task):
    """Return the solved questions that the prompt shows."""
    text = task.prompt(Example("own", "mouse", ""))
    pairs = re.findall(r"Input: (.*)\nOutput: (.*)\n", text)
    return [Example("shot", question, gold) for question, gold in pairs]


def test_the_prompt_shows_a_solved_question_of_each_category_that_is_in_no_split(task):
    shown = [shot.question for shot in shots(task)]
    assert [
        question.startswith(category) for question, category in zip(shown, CATEGORIES, strict=True)
    ]
    assert not {e.question for split in SPLITS for e in task.examples(split)} & set(shown)


def test_a_question_of_ones_own_gets_the_prompt_of_all_others(task):
    example = task.examples("test", 1)[0]
    before = task.prompt(example).removesuffix(f"Input: {example.question}\nOutput:")
    own = Example("own", "plural of mouse", "")
    assert task.prompt(own) == f"{before}Input: plural of mouse\nOutput:"


@pytest.mark.parametrize("category, place", [("first of", 0), ("last of", -1), ("middle of", None)])
def test_a_word_is_chosen_by_its_place(task, category, place):
    sizes = set()
    for example in of_category(task, category):
        words = listed(example)
        sizes.add(len(words))
        assert words[len(words) // 2 if place is None else place] == example.gold
    assert sizes == {3, 5}


@pytest.mark.parametrize("name", AMONG)
def test_a_word_is_chosen_by_its_sense_and_no_other_word_fits(task, name):
    fitting = {one for one, _ in AMONG[name]}
    for example in of_category(task, f"{name} among"):
        assert [word for word in listed(example) if word in fitting] == [example.gold]


@pytest.mark.parametrize("category, index", [("first", 0), ("last", -1)])
def test_a_word_is_chosen_by_the_alphabet(task, category, index):
    for example in of_category(task, f"alphabetically {category} of"):
        assert sorted(listed(example))[index] == example.gold


@pytest.mark.parametrize("category", ["opposite of", "capital of", "country of"])
def test_what_belongs_to_a_word_is_among_the_words_once(task, category):
    partner = {**PAIRS, **{other: one for one, other in PAIRS.items() if other}}
    for example in of_category(task, category):
        asked = example.question.removeprefix(f"{category} ").partition(": ")[0]
        assert partner[asked] == example.gold and partner[example.gold] == asked
        assert listed(example).count(example.gold) == 1


@pytest.mark.parametrize("category", ["plural of", "past tense of"])
def test_a_form_is_that_of_the_last_word(task, category):
    for example in of_category(task, category):
        *before, word = example.question.removeprefix(f"{category} ").split()
        assert [*before, PAIRS[word]] == example.gold.split()


FORMS = "fox foxes, pony ponies, donkey donkeys, knife knives, go went, marry married, bake baked"


def test_regular_forms_are_spelled_right():
    for pair in FORMS.split(", "):
        word, form = pair.split()
        assert PAIRS[word] == form


DIGESTS = ["efb27668", "529ea09e", "32577aa3"]


def test_no_question_moves_from_one_version_to_the_next(task):
    assert [digest_of(task.examples(split)) for split in SPLITS] == DIGESTS


def test_no_answer_is_a_favourite(task):
    for category in CATEGORIES:
        golds = Counter(e.gold for e in task.examples("train") if e.category == category)
        assert max(golds.values()) / golds.total() < 0.1


def test_only_the_word_itself_is_right_in_any_case(task):
    example = task.examples("test", 1)[0]
    assert task.grade(example, f" {example.gold.upper()}\nmore").correct
    assert not task.grade(example, f" {example.gold} {example.gold}").correct
    assert not task.can_only_be_wrong(example, f" {example.gold[:2]}")
    assert task.can_only_be_wrong(example, " zzz")


def test_draws_are_the_same_every_time():
    draw = Draw(7)
    assert [draw.one("abcdef") for _ in range(4)] == ["b", "a", "d", "a"]
    assert draw.some("abcdef", 3) == ["e", "c", "b"]
    assert sorted(draw.shuffled("abcdef")) == list("abcdef")
