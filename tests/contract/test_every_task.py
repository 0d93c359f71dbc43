"""What every task must keep, whatever its questions are."""

import sys
from functools import cache
from pathlib import Path

import pytest

from skiploop.errors import ConfigError
from skiploop.tasks import SPLITS, Example, get_task, task_names
from skiploop.tasks.boxed import BoxedTask
from skiploop.tasks.mix import MixTask

DATA = Path(__file__).parents[1] / "data"
TASKS = [
    *[("arithmetic", {"level": level}) for level in (1, 2, 3, 4, 5, "1,2")],
    ("mix:arithmetic+reasoning-gym:chain_sum", {}),
    ("mix:jsonl:numbers.jsonl+jsonl:texts.jsonl", {"shots": 2}),
    ("boxed:numbers.jsonl", {}),
    ("jsonl:numbers.jsonl", {}),
    ("jsonl:texts.jsonl", {"shots": 2}),
    ("jsonl:choices.jsonl", {}),
    ("reasoning-gym:chain_sum", {"size": 400}),
    ("reasoning-gym:prime_factorization", {"size": 400}),
    ("dart-math", {"level": 3}),
    ("gsm8k", {}),
    ("asdiv", {}),
    ("mawps", {"box": "first"}),
    ("mmlu-pro", {}),
    ("arc", {}),
    ("words", {}),
]
IDS = ["-".join([name, *map(str, options.values())]) for name, options in TASKS]
every_task = pytest.mark.parametrize("index", range(len(TASKS)), ids=IDS)


def make(index, **more):
    name, options = TASKS[index]
    for kind in ("boxed:", "jsonl:"):
        name = name.replace(kind, f"{kind}{DATA / 'questions'}/")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DATA / "hub")
        patch.delitem(sys.modules, "datasets", raising=False)
        task = get_task(name, **options, **more)
        sys.modules.pop("datasets", None)
    return task


@cache
def made(index):
    return make(index)


def some(task, n=20):
    return [example for split in SPLITS for example in task.examples(split)[:n]]


def right_text(task, example):
    return written(task, example.gold)


def written(task, answer):
    return f"\\boxed{{{answer}}}" if isinstance(task, BoxedTask) else answer


def test_every_registered_task_is_tested():
    tested = {name.partition(":")[0] for name, _ in TASKS}
    assert tested == {name.partition(":")[0] for name in task_names()}


@every_task
def test_ids_are_unique(index):
    ids = [example.id for split in SPLITS for example in made(index).examples(split)]
    assert len(set(ids)) == len(ids) > 0


@every_task
def test_splits_share_no_question_text(index):
    texts = [{" ".join(e.question.split()) for e in made(index).examples(s)} for s in SPLITS]
    assert all(texts)
    assert len(set.union(*texts)) == sum(map(len, texts))


@every_task
def test_no_group_of_questions_stands_in_two_splits_and_no_text_comes_twice(index):
    task = made(index)
    groups = [{example.group for example in task.examples(split)} for split in SPLITS]
    assert len(set.union(*groups)) == sum(map(len, groups))
    examples = [example for split in SPLITS for example in task.examples(split)]
    texts = {(" ".join(one.question.split()), one.choices) for one in examples}
    assert len(texts) == len(examples)


@every_task
def test_solved_lines_of_the_prompt_are_in_no_split(index):
    task = made(index)
    for example in some(task, 5):
        shown = task.prompt(example).rpartition(example.question)[0]
        for other in some(task, 200):
            assert f"Question: {other.question}\n" not in shown


@every_task
def test_the_same_task_has_the_same_questions_name_and_version(index):
    first, second = made(index), make(index)
    assert (first.name, first.version) == (second.name, second.version)
    for split in SPLITS:
        assert first.examples(split) == second.examples(split)


@every_task
def test_a_limit_gives_the_first_questions(index):
    task = make(index)
    for split in SPLITS:
        assert task.examples(split, 3) == made(index).examples(split)[:3]
        assert task.examples(split, 0) == []


@every_task
def test_the_prompt_has_the_question_and_not_its_answer(index):
    task = made(index)
    for example in some(task):
        _, question, rest = task.prompt(example).rpartition(example.question)
        assert question == example.question
        assert example.gold not in rest.split()


@every_task
def test_a_bare_question_is_put_as_the_task_puts_it_or_refused(index):
    task = made(index)
    for example in some(task, 3):
        bare = Example("asked", example.question, "")
        if isinstance(task, MixTask):
            with pytest.raises(ConfigError, match="is of none of the tasks of mix"):
                task.prompt(bare)
        else:
            assert task.prompt(bare) == task.prompt(example)


@every_task
def test_the_gold_answer_is_right_and_no_answer_is_wrong(index):
    task = made(index)
    examples = some(task)
    right = task.grade_many(examples, [right_text(task, example) for example in examples])
    assert [grade.correct for grade in right] == [True] * len(examples)
    empty = task.grade_many(examples, [""] * len(examples))
    assert [grade.correct for grade in empty] == [False] * len(examples)


@every_task
def test_right_answers_with_one_key_are_right_for_each_other(index):
    task = made(index)
    examples = [example for example in some(task, 100) if example.gold]
    texts_of = {}
    for example in examples:
        texts = texts_of.setdefault(example.answer_key, {example.answer_key})
        texts.update([] if example.choices else [example.gold])
    pairs = [(e, written(task, text)) for e in examples for text in texts_of[e.answer_key]]
    grades = task.grade_many([e for e, _ in pairs], [text for _, text in pairs])
    assert [grade.correct for grade in grades] == [True] * len(pairs)


@every_task
def test_a_draft_is_right_and_no_beginning_of_it_is_ruled_out(index):
    task = made(index)
    for example in some(task):
        draft = task.draft(example)
        assert not draft or task.grade(example, draft).correct
        assert not any(task.can_only_be_wrong(example, draft[:n]) for n in range(len(draft) + 1))


@every_task
def test_one_text_is_graded_as_in_a_batch(index):
    task = made(index)
    example = task.examples("test", 1)[0]
    texts = [right_text(task, example), "", "\\boxed{qqq}", "17 and 18"]
    batch = task.grade_many([example] * len(texts), texts)
    assert [task.grade(example, text) for text in texts] == batch


@every_task
def test_written_answers_have_a_token_limit_and_choices_have_none(index):
    task = made(index)
    for example in some(task):
        assert (task.max_new_tokens == 0) == bool(example.choices)
        assert not example.choices or example.gold in example.choices


@every_task
def test_an_unknown_option_is_refused(index):
    with pytest.raises(ConfigError, match="has no option 'colour'"):
        make(index, colour="red")
