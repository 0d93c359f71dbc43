"""Questions of one task in the prompt of another."""

import pytest

from skiploop.errors import ConfigError
from skiploop.runs.folder import RunConfig, RunFolder
from skiploop.tasks import get_task
from skiploop.tasks.base import Task, questions_id
from skiploop.tasks.reframed import ReframedTask

WORDS, SUMS = get_task("words"), get_task("arithmetic", level=1)
TASK = ReframedTask(SUMS, WORDS)
EXAMPLE = SUMS.examples("test", 1)[0]


def test_questions_and_verdicts_are_of_the_task_and_the_prompt_is_of_the_other():
    assert isinstance(TASK, Task)
    assert TASK.examples("test") == SUMS.examples("test")
    assert TASK.prompt(EXAMPLE) == WORDS.prompt(EXAMPLE) != SUMS.prompt(EXAMPLE)
    assert TASK.grade(EXAMPLE, f" {EXAMPLE.gold}").correct
    assert [grade.correct for grade in TASK.grade_many([EXAMPLE], [" cat"])] == [False]


def test_a_right_answer_as_it_stands_after_the_prompt_is_right_and_not_ruled_out():
    assert TASK.grade(EXAMPLE, TASK.draft(EXAMPLE)).correct
    assert not TASK.can_only_be_wrong(EXAMPLE, TASK.draft(EXAMPLE))


def test_answers_have_room_for_those_of_both_tasks_and_end_as_the_prompt_shows():
    assert TASK.max_new_tokens == max(SUMS.max_new_tokens, WORDS.max_new_tokens)
    assert TASK.stop == WORDS.stop


def test_its_questions_are_told_apart_from_those_of_both():
    assert len({questions_id(task) for task in (TASK, SUMS, WORDS)}) == 3


def test_a_mix_has_no_prompt_that_others_could_be_put_in(tmp_path):
    run = RunFolder(tmp_path, RunConfig(task="mix:arithmetic+words"))
    with pytest.raises(ConfigError, match="have no one prompt"):
        run.elsewhere("gsm8k", as_trained=True)
    assert run.elsewhere("gsm8k").task == "gsm8k"


def test_the_name_of_a_folder_is_the_task_with_its_options_and_prompt():
    made = RunConfig(task="jsonl:/a b/c.jsonl", options=("shots=0",), form="words")
    assert made.asked == "jsonl-a-b-c.jsonl-shots=0-in-words"


def test_long_names_of_different_tasks_that_end_alike_differ():
    tail = "+".join(["dart-math"] * 12)
    names = [RunConfig(task=f"mix:{first}+{tail}").asked for first in ("arithmetic", "words")]
    assert len({*names}) == 2
    assert [len(name) for name in names] == [100, 100]
    assert all("dart-math+dart-math-" in name for name in names)
