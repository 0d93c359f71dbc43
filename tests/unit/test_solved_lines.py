import json

import pytest

from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.base import Example
from skiploop.tasks.solved_lines import solved_lines


def task_of(tmp_path, *lines, shots):
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return get_task(f"jsonl:{path}", shots=shots)


def all_examples(task):
    return [example for split in SPLITS for example in task.examples(split)]


def shown_answers(task):
    prompt = task.prompt(task.examples("test", 1)[0])
    return [part.partition("\n")[0] for part in prompt.split("Answer: ")[1:]]


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_solved_lines_cover_the_categories_of_the_file(tmp_path, n):
    lines = [
        {
            "question": f"{'?' * (i % 3 + 1)} {i}",
            "answer": f"answer {i % 3}",
            "category": str(i % 3),
        }
        for i in range(90)
    ]
    shown = shown_answers(task_of(tmp_path, *lines, shots=n))
    assert len(shown) == n
    assert len(set(shown)) == min(n, 3)
    assert max(shown.count(one) for one in shown) == -(-n // 3)


def three_categories():
    sums = [(f"What is {i} + {j}?", str(i + j)) for i in range(3, 10) for j in range(6)]
    words = "day night hot cold big small tall short old young rich poor fast slow up down left"
    opposites = [(f"What is the opposite of {word}?", "something") for word in words.split()]
    things = "grass snow blood coal milk gold sand salt ink rust ivory mud smoke silver cheese ice"
    colours = [
        (f"Which colour is {thing} in the summer months?", "white") for thing in things.split()
    ]
    return [{"question": q, "answer": a} for q, a in sums + opposites + colours]


def test_solved_lines_cover_forms_of_questions_that_nobody_named(tmp_path):
    shown = shown_answers(task_of(tmp_path, *three_categories(), shots=4))
    assert {"something", "white"} < set(shown)
    assert any(answer.isdigit() for answer in shown)


@pytest.mark.parametrize("n", [0, 1, 4, 30])
def test_as_many_lines_are_shown_as_were_asked_for_and_none_twice(n):
    examples = [Example(str(i), f"What is {i}?", str(i), category=str(i % 7)) for i in range(30)]
    assert len({example.id for example in solved_lines(examples, n)}) == n


def test_solved_lines_are_never_test_questions_and_do_not_depend_on_the_order_of_lines(tmp_path):
    forward = task_of(tmp_path, *three_categories(), shots=4)
    backward = task_of(tmp_path, *reversed(three_categories()), shots=4)
    example = forward.examples("test", 1)[0]
    assert forward.prompt(example) == backward.prompt(example)
    shown = forward.prompt(example).rpartition("Question: ")[0]
    assert shown.count("Question: ") == 4
    assert not any(one.question in shown for one in all_examples(forward))
