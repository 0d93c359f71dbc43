import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop import get_task
from skiploop.errors import ConfigError, SkiploopError, UnknownNameError
from skiploop.tasks import task_names
from skiploop.tasks.base import SPLITS, Example, digest_of, split_by_text


def test_an_unknown_task_is_named_with_the_closest_one():
    with pytest.raises(UnknownNameError, match=r"'gsmk8': did you mean 'gsm8k'\? Known: arc, "):
        get_task("gsmk8")


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(ConfigError, match="arithmetic has no option 'levle': did you mean 'level'"):
        get_task("arithmetic", levle=2)


@pytest.mark.parametrize("name", ["jsonl", "jsonl:", "reasoning-gym"])
def test_a_missing_argument_is_asked_for(name):
    with pytest.raises(ConfigError, match=r"lacks its (file|dataset): write"):
        get_task(name)


def test_an_argument_that_a_task_does_not_take_is_refused():
    with pytest.raises(ConfigError, match="arithmetic takes options, not ':2'"):
        get_task("arithmetic:2")


def test_a_split_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="unknown split 'dev': expected one of train, validation"):
        get_task("arithmetic").examples("dev")


@pytest.mark.parametrize("limit", [-1, 1000])
def test_a_limit_beyond_the_split_is_refused(limit):
    with pytest.raises(ConfigError, match=f"arithmetic-1 has 41 .* asked for {limit}"):
        get_task("arithmetic", level=1).examples("test", limit=limit)


def test_all_task_names_are_listed():
    assert task_names() == [
        *["arc", "arithmetic", "asdiv", "dart-math", "gsm8k", "jsonl:<file>", "mawps"],
        *["mix:<task>+<task>", "mmlu-pro", "reasoning-gym:<dataset>"],
    ]


def test_tasks_and_graders_import_no_torch():
    code = (
        "import sys, skiploop.graders, skiploop.tasks as t;"
        "t.get_task('arithmetic'); t.get_task('reasoning-gym:chain_sum');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.text(), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_question_keeps_its_split_when_only_its_spaces_change(question, validation, test):
    split = split_by_text(question, validation=validation, test=test)
    spaced = f"  {question} \n"
    assert split_by_text(spaced, validation=validation, test=test) == split


def test_splits_have_about_the_asked_shares():
    counts = dict.fromkeys(SPLITS, 0)
    for number in range(4000):
        counts[split_by_text(f"question {number}", validation=0.1, test=0.3)] += 1
    assert abs(counts["validation"] / 4000 - 0.1) < 0.02
    assert abs(counts["test"] / 4000 - 0.3) < 0.03


def test_the_digest_changes_with_questions_answers_and_choices():
    first = Example("1", "q", "a")
    others = [Example("1", "q", "b"), Example("1", "qa", ""), Example("1", "q", "a", ("a", "b"))]
    assert len({digest_of([one]) for one in [first, *others]}) == 4
    assert digest_of([first]) == digest_of([Example("2", "q", "a", meta={"level": 1})])


def test_a_mix_takes_turns_and_keeps_prompts_and_verdicts():
    parts = [get_task("arithmetic"), get_task("reasoning-gym:chain_sum")]
    mix = get_task("mix:arithmetic+reasoning-gym:chain_sum")
    first, second, third = mix.examples("test", 3)
    assert [e.kind for e in (first, second, third)] == [parts[i].name for i in (0, 1, 0)]
    for part, example in zip(parts, (first, second), strict=True):
        (own,) = part.examples("test", 1)
        assert mix.prompt(example) == part.prompt(own)
        assert mix.draft(example) == part.draft(own)
    texts = [second.gold, third.gold, "nothing"]
    verdicts = mix.grade_many([second, third, first], texts)
    assert [grade.correct for grade in verdicts] == [True, True, False]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mix:arithmetic", "two different tasks"),
        ("mix:arithmetic+arithmetic", "two different tasks"),
        ("mix:arithmetic+reasoning-gym:propositional_logic", "cannot be mixed: answers end at"),
        ("mix:arithmetic+nothing", "nothing"),
    ],
)
def test_a_mix_of_what_cannot_be_mixed_says_why(name, message):
    with pytest.raises(SkiploopError, match=message):
        get_task(name)
