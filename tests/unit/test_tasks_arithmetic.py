import itertools

import pytest

from skiploop.errors import ConfigError
from skiploop.tasks import SPLITS, Example, get_task
from skiploop.tasks.base import digest_of
from skiploop.tasks.key import question_key

LEVELS = (1, 2, 3, 4, 5)


def all_examples(task):
    return [example for split in SPLITS for example in task.examples(split)]


@pytest.fixture(scope="module")
def tasks():
    return {level: get_task("arithmetic", level=level) for level in LEVELS}


@pytest.mark.parametrize("level", LEVELS)
def test_every_gold_answer_is_the_value_of_its_question(tasks, level):
    for example in all_examples(tasks[level]):
        assert eval(example.question) == int(example.gold)
        assert 0 <= int(example.gold) <= 999


DIGESTS = {
    1: ["f7636a34", "37fd4309", "c5aded3e"],
    2: ["6c485012", "92fff092", "8d01d08e"],
    3: ["4608d5b3", "c4fb3e5c", "4950bed3"],
    4: ["cd162b58", "cb42ed5f", "097491cb"],
    5: ["17a632cb", "dd541942", "e04a90f9"],
}


N_TEST = {1: 41, 2: 1420, 3: 976, 4: 1851, 5: 3201}
LATER = {
    2: [(1519, "2b6714c8"), (2240, "d4a67dc1")],
    4: [(1666, "fad33222"), (2525, "3c2d8391")],
    5: [(2541, "9365c2fb"), (2550, "20a5c4f5")],
}


@pytest.mark.parametrize("level", LEVELS)
def test_no_question_moves_from_one_version_to_the_next(tasks, level):
    train, validation, test = (tasks[level].examples(split) for split in SPLITS)
    n = N_TEST[level]
    assert list(map(digest_of, (train, validation, test[:n]))) == DIGESTS[level]
    for n_more, digest in LATER.get(level, []):
        assert digest_of(test[n : n + n_more]) == digest
        n += n_more
    assert len(test) == n


def test_later_test_questions_come_after_all_others_and_the_latest_equal_none_of_them():
    task = get_task("arithmetic", level=LEVELS)
    test = task.examples("test")
    for n, n_more in ((7489, 5726), (7489 + 5726, 7315)):
        assert [example.meta["level"] for example in test[n : n + 6]] == [2, 4, 5] * 2
        assert len(test) >= n + n_more
    latest = {question_key(example.question) for example in test[n:]}
    before = [*task.examples("train"), *task.examples("validation"), *test[:n]]
    assert not latest & {question_key(example.question) for example in before}


def test_no_question_is_in_two_splits_or_two_levels(tasks):
    texts = [example.question for task in tasks.values() for example in all_examples(task)]
    assert len(set(texts)) == len(texts)


def test_the_same_operands_in_another_order_are_never_in_another_split(tasks):
    split_of = {}
    for task in tasks.values():
        for split in SPLITS:
            for example in task.examples(split):
                assert split_of.setdefault(question_key(example.question), split) == split


def test_all_orders_of_sums_and_products_are_one():
    orders = {" + ".join(terms) for terms in itertools.permutations(["3", "4 * 5", "12"])}
    orders |= {text.replace("4 * 5", "5 * 4") for text in orders}
    assert len(orders) == 12
    assert len(set(map(question_key, orders))) == 1
    assert question_key("5 * 4 - 3") == question_key("4 * 5 - 3") != question_key("4 * 3 - 5")
    assert question_key("12 - 3") != question_key("3 - 12")


def test_solved_lines_of_the_prompt_are_right_and_in_no_split(tasks):
    example = tasks[1].examples("test", 1)[0]
    *lines, last = tasks[1].prompt(example).split("\n")
    shown = [line.split(" = ") for line in lines]
    assert len(shown) == 4
    assert all(eval(question) == int(answer) for question, answer in shown)
    assert last == f"{example.question} = "
    questions = {question_key(e.question) for task in tasks.values() for e in all_examples(task)}
    assert not questions & {question_key(question) for question, _ in shown}


@pytest.mark.parametrize("question", ["65 + 38", "65+38", " 65+ 38 = ", "65 + 38 = ?"])
def test_a_question_of_ones_own_is_spaced_as_all_others(tasks, question):
    prompt = tasks[2].prompt(Example("own", question, ""))
    assert prompt == tasks[2].prompt(Example("own", "65 + 38", ""))
    assert prompt.endswith("\n65 + 38 = ")


def test_prompts_hold_the_questions_as_they_are(tasks):
    for task in tasks.values():
        for example in task.examples("test", 40):
            assert task.prompt(example).endswith(f"\n{example.question} = ")


def test_level_1_is_small_and_the_others_offer_thousands(tasks):
    assert len(all_examples(tasks[1])) == 160
    assert all(len(tasks[level].examples("train")) > 1800 for level in LEVELS[1:])


def test_levels_take_turns_when_mixed(tasks):
    mixed = get_task("arithmetic", level=(1, 2))
    assert mixed.name == "arithmetic-1+2"
    examples = mixed.examples("test", 60)
    assert [example.meta["level"] for example in examples] == [1, 2] * 30
    assert examples[::2] == tasks[1].examples("test", 30)
    assert examples[1::2] == tasks[2].examples("test", 30)
    rest = mixed.examples("test")
    assert len(rest) == len(tasks[1].examples("test")) + len(tasks[2].examples("test"))


@pytest.mark.parametrize("level", ["1,2", "1, 2", [1, 2], (1, "2")])
def test_several_levels_can_be_written_in_several_ways(level):
    assert get_task("arithmetic", level=level).name == "arithmetic-1+2"


@pytest.mark.parametrize("level", [0, 6, "x", "", "1,1", (), None, 1.5, True])
def test_a_level_that_does_not_exist_is_refused(level):
    with pytest.raises(ConfigError, match=r"arithmetic has no level .*: give one of 1, 2, 3, 4, 5"):
        get_task("arithmetic", level=level)


def test_only_the_number_itself_is_right(tasks):
    example = tasks[2].examples("test", 1)[0]
    assert tasks[2].grade(example, f" {example.gold} ").correct
    assert not tasks[2].grade(example, f"{example.gold} = {example.gold}").correct
    assert tasks[2].grade(example, "9**9**9**9").correct is False
