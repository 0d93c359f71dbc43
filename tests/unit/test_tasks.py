import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop import get_task
from skiploop.errors import ConfigError, SkiploopError, UnknownNameError
from skiploop.tasks import task_names
from skiploop.tasks.base import SPLITS, Example, Grade, ListTask, digest_of, split_by_text
from skiploop.tasks.mix import MixTask


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
        *["arc", "arithmetic", "asdiv", "boxed:<file>", "dart-math", "gsm8k", "jsonl:<file>"],
        *["mawps", "mix:<task>+<task>", "mmlu-pro", "reasoning-gym:<dataset>", "words"],
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
    assert [e.category for e in (first, second, third)] == [parts[i].name for i in (0, 1, 0)]
    for part, example in zip(parts, (first, second), strict=True):
        (own,) = part.examples("test", 1)
        assert mix.prompt(example) == part.prompt(own)
        assert mix.draft(example) == part.draft(own)
    texts = [second.gold, third.gold, "nothing"]
    verdicts = mix.grade_many([second, third, first], texts)
    assert [grade.correct for grade in verdicts] == [True, True, False]


SPELLINGS = {
    "same": str,
    "spaced": lambda question: question.replace("?", " ?").replace(":", " :").replace("=", " ="),
    "loud": str.upper,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_question_of_two_tasks_of_a_mix_stands_in_one_split_and_the_same_text_comes_once(
    tmp_path, spelling, caplog
):
    options = {"size": 300, "min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 2}
    made = get_task("reasoning-gym:chain_sum", **options)
    questions = [one for split in SPLITS for one in made.examples(split)]
    lines = [{"question": SPELLINGS[spelling](e.question), "answer": e.gold} for e in questions]
    path = tmp_path / "copied.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    copied = get_task(f"jsonl:{path}")
    n_copied = sum(len(copied.examples(split)) for split in SPLITS)
    mix = MixTask([made, copied])
    with caplog.at_level("INFO", "skiploop"):
        splits = {split: mix.examples(split) for split in SPLITS}
    groups = [{example.group for example in found} for found in splits.values()]
    assert len(set.union(*groups)) == sum(map(len, groups))
    n_once = len(questions) + (0 if spelling == "same" else n_copied)
    assert sum(map(len, splits.values())) == n_once
    assert ("stand in another as well and come once" in caplog.text) is (spelling == "same")


class Official(ListTask):
    """A task whose splits do not go by the key, as those of official test sets."""

    max_new_tokens = 5

    def __init__(self, name, **splits):
        examples = {
            split: [Example(f"{name}/{q}", q, "7") for q in splits.get(split, ())]
            for split in SPLITS
        }
        super().__init__(name, examples)

    def prompt(self, example):
        return example.question

    def grade_many(self, examples, texts):
        return [Grade(text == example.gold) for example, text in zip(examples, texts, strict=True)]


def test_what_one_task_keeps_for_test_no_other_task_of_the_mix_learns_from():
    first = Official("first", train=["a?", "b?", "c?"], validation=["d?"], test=["e?"])
    second = Official("second", train=["e ?", "D?", "f?", "a?"], test=["B ?", "g?"])
    mix = MixTask([first, second])
    found = {split: {e.question for e in mix.examples(split)} for split in SPLITS}
    assert found == {
        "train": {"a?", "c?", "f?"},
        "validation": {"d?"},
        "test": {"e?", "B ?", "g?"},
    }
    assert [e.id for e in mix.examples("train", 2)] == ["0/first/a?", "1/second/f?"]


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
