import json
import sys
from collections import Counter
from itertools import permutations
from pathlib import Path

import pytest

from skiploop.box import CLOSED_BOX
from skiploop.errors import ConfigError, DataError, DownloadError
from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.base import Example
from skiploop.tasks.boxed import BoxedTask, lettered_key
from skiploop.tasks.hub import cut_splits, load_rows

HUB = Path(__file__).parents[1] / "data" / "hub"


@pytest.fixture
def hub(monkeypatch):
    """Put the stand-in for the datasets package first on the import path."""
    monkeypatch.syspath_prepend(HUB)
    monkeypatch.delitem(sys.modules, "datasets", raising=False)
    yield
    sys.modules.pop("datasets", None)


def sizes(task):
    return {split: len(task.examples(split)) for split in SPLITS}


PAPER_SIZES = {"train": 1250, "validation": 250, "test": 500}


def test_the_prompt_is_the_papers_word_for_word(hub):
    task = get_task("gsm8k")
    example = task.examples("test", 1)[0]
    assert task.prompt(example) == (
        "Solve the following math problem and output ONLY the final answer directly, "
        "formatted strictly as \\boxed{ANSWER}.\n"
        "### Problem Start\n"
        f"{example.question}\n"
        "### Problem End\n"
        "Answer:"
    )
    assert (task.max_new_tokens, task.stop) == (50, ())


def test_gsm8k_keeps_the_official_test_set_apart(hub):
    task = get_task("gsm8k")
    assert sizes(task) == PAPER_SIZES
    assert all(e.id.startswith("gsm8k/test/") for e in task.examples("test"))
    assert all(e.id.startswith("gsm8k/train/") for e in task.examples("train"))
    example = task.examples("train", 1)[0]
    assert f"Al has {int(example.gold) - 1000} nuts" in example.question


def test_a_question_of_both_official_sets_is_only_in_test(hub):
    task = get_task("gsm8k")  # ten texts are in both sets of the stand-in
    train = {e.question for split in ("train", "validation") for e in task.examples(split)}
    assert not train & {f"Al has {i} nuts and finds 1000. How many now?" for i in range(1590, 1600)}


def test_asdiv_answers_lose_their_unit_and_several_answers_are_left_out(hub):
    task = get_task("asdiv")
    assert sizes(task) == PAPER_SIZES
    for example in task.examples("test"):
        n_birds = int(example.question.split()[2])
        assert example.gold == str(2 * n_birds)
        assert n_birds % 100 != 7


def test_mawps_answers_may_be_fractions(hub):
    task = get_task("mawps")
    assert sizes(task) == PAPER_SIZES
    example = next(e for e in task.examples("test") if "/" in e.gold)
    assert task.grade(example, f"\\boxed{{{example.gold}}}").correct


def test_mmlu_pro_is_answered_by_a_letter_in_a_box(hub):
    task = get_task("mmlu-pro")
    assert sizes(task) == {"train": 1050, "validation": 250, "test": 500}
    example = task.examples("test", 1)[0]
    number = int(example.question.split()[2])
    assert example.gold == "C"
    assert f"\nC. {number + 2}" in example.question
    assert task.max_new_tokens == 50 and not example.choices
    assert task.prompt(example).startswith("Solve the following math problem and output ONLY")
    assert [task.grade(example, text).correct for text in ("\\boxed{C}", "\\boxed{D}", "C")] == [
        True,
        False,
        False,
    ]


def test_arc_letters_its_options_whatever_the_labels_are(hub):
    task = get_task("arc", subset="challenge")
    assert task.name == "arc-challenge"
    assert sizes(task) == {"train": 1168, "validation": 250, "test": 500}
    things = ["stone", "river", "cloud", "leaf"]
    for example in task.examples("test"):
        number = int(example.question.split()[2])
        assert f"\n{example.gold}. {things[number % 4]} {number}" in example.question


def test_dart_math_levels_are_fifths_by_fail_rate(hub):
    rates = {}
    for level in (1, 3, 5):
        task = get_task("dart-math", level=level)
        assert task.name == f"dart-math-{level}"
        assert sizes(task) == PAPER_SIZES
        examples = [e for split in SPLITS for e in task.examples(split)]
        rates[level] = [e.meta["fail_rate"] for e in examples]
        assert Counter(e.id.split("/")[1].split("-")[0] for e in examples).keys() == {
            "math",
            "gsm8k",
        }
    assert max(rates[1]) <= 0.2 < 0.4 <= min(rates[3]) < max(rates[3]) <= 0.6 < 0.8 <= min(rates[5])


def test_dart_math_levels_take_turns_and_a_question_has_one_split(hub):
    task = get_task("dart-math", level="1,4")
    assert task.name == "dart-math-1+4"
    groups = {split: {e.group for e in task.examples(split)} for split in SPLITS}
    assert not groups["train"] & groups["test"] and not groups["validation"] & groups["test"]
    assert [e.category for e in task.examples("train", 4)] == ["level 1", "level 4"] * 2
    alone = get_task("dart-math", level=1)
    assert {e.id for e in alone.examples("test")} <= {e.id for e in task.examples("test")}


@pytest.mark.parametrize("level", [0, 6, "1,1", "", True])
def test_dart_math_refuses_other_levels(level):
    with pytest.raises(ConfigError, match=r"dart-math has no level .*: give one of 1, 2, 3, 4, 5"):
        get_task("dart-math", level=level)


def test_another_box_rule_changes_verdicts_and_version(hub):
    last, first = get_task("gsm8k"), get_task("gsm8k", box="first")
    example = last.examples("test", 1)[0]
    text = f"\\boxed{{{example.gold}}} \\boxed{{ANSWER}}"
    assert last.grade(example, text).correct is False
    assert first.grade(example, text).correct is True
    assert last.version != first.version
    with pytest.raises(ConfigError, match="expected one of last, first, closed"):
        get_task("gsm8k", box="best")


def test_published_rules_write_all_tokens_and_a_closed_box_can_end_the_answer_instead(hub):
    assert get_task("gsm8k").stop == get_task("gsm8k", box="first").stop == ()
    closed = get_task("gsm8k", box="closed")
    assert closed.stop == (CLOSED_BOX,) and closed.version != get_task("gsm8k").version
    example = closed.examples("test", 1)[0]
    assert closed.grade(example, f"\\boxed{{{example.gold}}}").correct is True


def test_a_hub_out_of_reach_is_one_clear_error(hub):
    with pytest.raises(DownloadError, match=r"ai2_arc could not be loaded .*check the network"):
        get_task("arc", subset="easy")  # the stand-in does not have it


def test_a_missing_package_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'pip install "skiploop\[hub\]"'):
        get_task("gsm8k")


def test_a_missing_column_is_named(hub):
    with pytest.raises(DataError, match="gsm8k lacks the columns topic: it has question, answer"):
        list(load_rows("openai/gsm8k", "main", split="test", columns=("question", "topic")))


def test_equal_questions_are_kept_once_and_the_others_stay_where_they_were():
    plain = [Example(str(i), f"Is {i} + 2 , or more ?", "1") for i in range(3, 3000)]
    twins = [Example(f"t{i}", f"IS 2 + {i}, or more?", "1") for i in range(3, 3000, 50)]
    assert cut_splits(plain + twins) == cut_splits(plain)
    apart = cut_splits(plain[1000:] + twins, plain[:1000])
    groups = [{example.group for example in apart[split]} for split in SPLITS]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 2000


def test_a_question_with_its_options_in_another_order_is_the_same_one():
    options = ["red", "7", "a cat"]
    keys = {lettered_key("Which one ?", order) for order in permutations(options)}
    assert keys == {lettered_key("Which one?", options)}
    assert lettered_key("Which one?", ["red", "8", "a cat"]) not in keys


def test_too_few_questions_are_refused():
    with pytest.raises(DataError, match="700 questions are too few"):
        cut_splits(Example(str(i), f"question {i}", "1") for i in range(700))


def test_the_real_datasets_package_reads_the_same_rows(tmp_path):
    pytest.importorskip("datasets")
    rows = [{"question": f"q{i}", "answer": str(i), "other": i} for i in range(3)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    loaded = load_rows(str(tmp_path), split="train", columns=("question", "answer"))
    assert list(loaded) == [{"question": f"q{i}", "answer": str(i)} for i in range(3)]


@pytest.mark.parametrize("gold", ["", "$", "}", "1} or {2", "4 #### 5", "1" * 501])
def test_a_question_whose_answer_cannot_be_right_in_a_box_is_left_out(gold):
    examples = [Example("1", "q", gold), Example("2", "r", r"\frac{1}{2}")]
    task = BoxedTask("t", {"train": examples, "validation": [], "test": []})
    assert [example.id for example in task.examples("train")] == ["2"]
