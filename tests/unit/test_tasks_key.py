import json
import re
import string
import unicodedata
from collections import defaultdict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.base import Example, split_by_text
from skiploop.tasks.key import question_key

words = st.text(string.ascii_letters + "éß", min_size=1, max_size=6)
numbers = st.integers(0, 999).map(str)
marks = st.sampled_from(list(".,;:?!%)]"))
sentences = st.lists(st.one_of(words, numbers, marks), min_size=1, max_size=10)


@given(sentences, st.randoms(use_true_random=False))
def test_spaces_before_marks_case_and_unicode_form_do_not_count(pieces, rng):
    spaced = " ".join(pieces)
    tight = re.sub(r" (?=[.,;:?!%)\]](?: |$))", lambda _: rng.choice(["", " ", "\u00a0 "]), spaced)
    assert question_key(tight) == question_key(spaced)
    assert question_key(tight.upper().lower()) == question_key(spaced.upper().lower())
    decomposed = unicodedata.normalize("NFD", spaced)
    assert question_key(f" {decomposed}\n") == question_key(spaced)


@st.composite
def calculations(draw):
    """Two orders and spellings of one sum of products and differences."""
    term = st.lists(numbers, min_size=1, max_size=3)
    terms = draw(st.lists(st.tuples(st.booleans(), term), min_size=1, max_size=4))
    rng = draw(st.randoms(use_true_random=False))
    return written(terms, rng), written(terms, rng)


def written(terms, rng):
    added = [factors for is_minus, factors in terms if not is_minus] or [["1"]]
    first = added.pop(rng.randrange(len(added)))
    rest = [(" + ", one) for one in added] + [(" - ", one) for minus, one in terms if minus]
    rng.shuffle(rest)
    text = product(first, rng)
    for sign, factors in rest:
        text += (sign if sign == " - " else rng.choice([" + ", "+"])) + product(factors, rng)
    return text


def product(factors, rng):
    return rng.choice([" * ", "*", " \N{MULTIPLICATION SIGN} "]).join(
        rng.sample(factors, len(factors))
    )


FRAMES = ["{}", "{} =", "{} = ?", "What is {}?", "Work out ( {} ) ."]


@given(calculations(), st.sampled_from(FRAMES))
def test_orders_of_sums_and_products_are_one_wherever_they_stand(pair, frame):
    first, second = (question_key(frame.format(text)) for text in pair)
    assert first == second


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("12 - 3", "3 - 12"),
        ("8 / 2", "2 / 8"),
        ("8 / 2 + 4", "8 / 4 + 2"),
        ("5 * 4 - 3", "4 * 3 - 5"),
        ("9 - 4 * 3", "9 * 3 - 4"),
        ("10² + 3", "102 + 3"),
        ("2 * (3 + 4)", "3 * (2 + 4)"),
        ("x - 3 + 4", "x - 4 + 3"),
        ("2 ^ 3 + 4", "2 ^ 4 + 3"),
        ("3 + 4^2", "4 + 3^2"),
        ("on 2019-04-05", "on 2019-05-04"),
        ("What is 3 + 4?", "What is 3 + 5?"),
        ("What is 3 + 4?", "3 + 4 ="),
        ("Is it a cat?", "Is it a hat?"),
        ("3 .5 litres", "3.5 litres"),
    ],
)
def test_other_questions_have_other_keys(first, second):
    assert question_key(first) != question_key(second)


@given(st.text())
@example("1 + " * 5000 + "x")
@example("( " * 5000)
@example("1,1." * 5000 + "+")
def test_every_text_has_a_key_that_is_its_group_and_decides_its_split(text):
    key = question_key(text)
    assert Example("1", text, "7").group == key
    shares = {"validation": 0.1, "test": 0.3}
    assert split_by_text(text, **shares) == split_by_text(f"{text} ", **shares)


def test_plain_texts_keep_the_key_that_they_always_had():
    # What is no spelling of something else stays where it was: case, spaces and a full stop aside.
    for text in ("Tom has 3 pens (2 red). How many?", "1/2 of $5.50, or 50%?", "It's 'a' - b"):
        assert question_key(text) == text.lower()


def test_a_task_that_knows_better_names_the_group():
    assert Example("1", "Which?", "A", group="mine").group == "mine"
    assert Example("1", "Which?", "A", group="mine") == Example("1", "Which?", "A")


def test_questions_share_their_split_through_all_tasks_that_go_by_text(tmp_path):
    asked = [f"{a} + {b}" for a in range(1, 100, 7) for b in range(1, 100, 9)]
    split_of = defaultdict(set)
    for number, frame in enumerate(FRAMES[:3]):
        path = tmp_path / f"{number}.jsonl"
        lines = [{"question": frame.format(sum_), "answer": eval(sum_)} for sum_ in asked]
        path.write_text("\n".join(map(json.dumps, lines)))
        task = get_task(f"jsonl:{path}", shots=0)
        for split in SPLITS:
            for one in task.examples(split):
                split_of[one.group].add(split)
    task = get_task("arithmetic", level="1,2")
    for split, n_of_other_parts in {"train": 0, "validation": 0, "test": 2240}.items():
        some = task.examples(split)
        for one in some[: len(some) - n_of_other_parts]:
            split_of[one.group].add(split)
    assert all(len(found) == 1 for found in split_of.values())
