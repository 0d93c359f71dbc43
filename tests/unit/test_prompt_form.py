"""A bare question gets the prompt that a policy has learned from, or is refused."""

from pathlib import Path

import pytest

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
