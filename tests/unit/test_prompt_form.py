"""A bare question gets the prompt that a policy has learned from, or is refused."""

import json
from pathlib import Path

import pytest

from skiploop.config import from_dict, to_dict
from skiploop.errors import ConfigError, RunError
from skiploop.tasks import get_task
from skiploop.tasks.prompt_form import PromptForm

CHOICES = Path(__file__).parents[1] / "data" / "questions" / "choices.jsonl"


@pytest.mark.parametrize(
    ("form", "question"),
    [
        (PromptForm("arithmetic", ("level=1,2",), "arithmetic-1+2, version 2"), " 65 + 38\n"),
        (PromptForm("words"), "plural of mouse"),
    ],
)
def test_a_bare_question_is_put_as_the_task_puts_its_own(form, question):
    task = get_task(form.task)
    example = task.examples("test", 1)[0]
    before, found, _ = task.prompt(example).rpartition(example.question)
    assert found
    assert form.prompt(question).startswith(f"{before}{question.strip()}")
    assert (form.stop, form.max_new_tokens) == (task.stop, task.max_new_tokens)


def test_a_question_with_choices_is_refused():
    with pytest.raises(ConfigError, match="asks for one of several choices"):
        PromptForm(f"jsonl:{CHOICES}").prompt("Where are books read?")


@pytest.mark.parametrize("question", ["", " \n"])
def test_an_empty_question_is_refused(question):
    with pytest.raises(ConfigError, match="the question is empty"):
        PromptForm("words").prompt(question)


def test_a_task_that_puts_its_questions_in_another_way_now_is_refused():
    form = PromptForm("arithmetic", ("level=2",), "arithmetic-2, version 1")
    with pytest.raises(RunError, match=r"version 1, but arithmetic is now arithmetic-2, version 2"):
        form.prompt("2 + 3")


@pytest.mark.parametrize("answers", [["7", "8", "9"], ["Rome", "Oslo", "Bern"]])
def test_a_form_of_a_file_puts_and_reads_questions_when_the_file_is_gone(tmp_path, answers):
    path = tmp_path / "my.jsonl"
    rows = [{"question": f"what is {i}?", "answer": answers[i % 3]} for i in range(60)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    task = get_task(f"jsonl:{path}", shots=3)
    examples = task.examples("test", 5)
    form = PromptForm.carried(f"jsonl:{path}", ("shots=3",), task)
    path.unlink()
    form = from_dict(PromptForm, json.loads(json.dumps(to_dict(form))))  # as a policy keeps it
    assert str(tmp_path) not in str(form)
    assert [form.prompt(one.question) for one in examples] == [task.prompt(one) for one in examples]
    assert (form.stop, form.max_new_tokens) == (task.stop, task.max_new_tokens)
    texts = [f" {answers[0]}.\n", f" {answers[1].upper()} ", " it depends"]
    grades = task.grade_many([examples[0]] * 3, texts)
    assert form.read("another prompt", texts) == [grade.answer for grade in grades]


def test_a_form_of_choices_without_its_file_still_takes_no_bare_question():
    form = PromptForm.carried(f"jsonl:{CHOICES}", (), get_task(f"jsonl:{CHOICES}"))
    with pytest.raises(ConfigError, match="asks for one of several choices"):
        form.prompt("Where are books read?")


@pytest.mark.parametrize("box", ["last", "first", "closed"])
def test_a_form_of_answers_in_boxes_puts_and_reads_questions_when_they_are_gone(tmp_path, box):
    path = tmp_path / "sums.jsonl"
    rows = [{"question": f"what is {i} + 1?", "answer": str(i + 1)} for i in range(60)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    task = get_task(f"boxed:{path}", box=box)
    form = PromptForm.carried(f"boxed:{path}", (f"box={box}",), task)
    path.unlink()
    form = from_dict(PromptForm, json.loads(json.dumps(to_dict(form))))
    assert str(tmp_path) not in str(form) and form.box == box
    (example,) = task.examples("test", 1)
    assert form.prompt(example.question) == task.prompt(example)
    assert (form.stop, form.max_new_tokens) == (task.stop, task.max_new_tokens)
    texts = [r" \boxed{7} or \boxed{8}", "no box"]
    grades = task.grade_many([example] * 2, texts)
    assert form.read(form.prompt("?"), texts) == [grade.answer for grade in grades]


def test_a_question_to_a_mix_is_refused(tmp_path):
    form = PromptForm(f"mix:words+jsonl:{tmp_path / 'gone.jsonl'}")
    with pytest.raises(ConfigError, match="have no one prompt: give a whole prompt"):
        form.prompt("2 + 3")


def test_a_form_of_a_task_that_comes_with_skiploop_names_it():
    form = PromptForm.carried("words", (), get_task("words"))
    assert form == PromptForm("words", (), form.questions) and form.lines is None
