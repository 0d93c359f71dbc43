from dataclasses import replace

import pytest
import reasoning_gym

from skiploop.errors import ConfigError, UnknownNameError
from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.key import question_key


def test_a_partial_score_does_not_count():
    task = get_task("reasoning-gym:chain_sum", min_terms=2, max_terms=2, max_digits=1)
    example = next(e for e in task.examples("train") if e.gold == "7")
    texts = ["7", " 7\nQuestion:", "17", "<answer>7</answer>", "7 <answer>8</answer>", ""]
    verdicts = [grade.correct for grade in task.grade_many([example] * 6, texts)]
    assert verdicts == [True, True, False, True, False, False]


def test_a_scorer_that_raises_leaves_the_answer_ungraded():
    task = get_task("reasoning-gym:prime_factorization")
    example = task.examples("test", 1)[0]
    grade = task.grade(example, " it is prime")
    assert (grade.correct, grade.answer) == (None, "it is prime")
    assert grade.reason.startswith("ValueError: ")


def test_the_question_that_was_asked_is_graded_whatever_another_process_makes_of_its_index():
    task = get_task("reasoning-gym:chain_sum")
    asked, other = task.examples("test", 2)
    swapped = replace(asked, meta={**asked.meta, "index": other.meta["index"]})
    assert task.grade(swapped, asked.gold).correct is True


@pytest.mark.parametrize("dataset", ["knights_knaves", "rearc"])
def test_metadata_that_json_cannot_hold_reaches_the_scorer(dataset):
    task = get_task(f"reasoning-gym:{dataset}", shots=1)
    example = task.examples("test", 1)[0]
    assert task.grade(example, example.gold).correct is True


def test_data_sets_that_differ_between_processes_are_refused_with_the_reason():
    with pytest.raises(ConfigError, match=r"word_ladder .* makes other questions in every process"):
        get_task("reasoning-gym:word_ladder")


def test_other_questions_make_another_version(monkeypatch):
    version = get_task("reasoning-gym:chain_sum").version
    assert get_task("reasoning-gym:chain_sum").version == version
    monkeypatch.setattr("skiploop.tasks.reasoning_gym._source", lambda *_: _Renumbered())
    assert get_task("reasoning-gym:chain_sum").version != version


class _Renumbered:
    """The questions of chain_sum, each under the index of the one after it."""

    def __init__(self):
        self._source = reasoning_gym.create_dataset("chain_sum", seed=42, size=5000)

    def __getitem__(self, index):
        return self._source[index + 1]


def test_answers_of_several_lines_are_graded_as_a_whole():
    task = get_task("reasoning-gym:rotate_matrix", shots=1)
    assert task.stop == ("\n\n",)
    example = task.examples("test", 1)[0]
    assert "\n" in example.gold
    assert task.grade(example, f"{example.gold}\n").correct


def test_a_data_set_without_gold_answers_shows_no_solved_questions():
    task = get_task("reasoning-gym:graph_color")
    example = task.examples("test", 1)[0]
    assert example.gold == ""
    assert task.prompt(example).count("Question: ") == 1
    assert task.max_new_tokens == 512


def test_questions_do_not_depend_on_how_many_are_asked_for():
    few = get_task("reasoning-gym:chain_sum", size=400)
    many = get_task("reasoning-gym:chain_sum", size=400)
    first = {split: few.examples(split, 10) for split in SPLITS}
    for split in reversed(SPLITS):
        assert many.examples(split)[:10] == first[split]


def test_repeated_texts_are_left_out():
    task = get_task("reasoning-gym:chain_sum", min_terms=2, max_terms=2, max_digits=1, shots=0)
    texts = [example.question for split in SPLITS for example in task.examples(split)]
    assert len(texts) == len(set(texts)) < 250


def test_no_twin_of_a_solved_question_is_asked_however_many_are_made():
    options = {"min_terms": 2, "max_terms": 2, "max_digits": 1}
    task = get_task("reasoning-gym:chain_sum", shots=2, **options)
    groups = {example.group for split in SPLITS for example in task.examples(split)}
    prompt = task.prompt(task.examples("test", 1)[0])
    *shown, asked = [line[10:] for line in prompt.split("\n") if line.startswith("Question: ")]
    assert len(shown) == 2 and question_key(asked) in groups
    assert not groups & set(map(question_key, shown))


def test_settings_go_to_the_data_set_and_into_the_name():
    task = get_task("reasoning-gym:chain_sum", min_terms=5, max_terms=5, seed=7)
    assert task.name == "reasoning-gym:chain_sum,max_terms=5,min_terms=5,seed=7"
    example = task.examples("test", 1)[0]
    assert example.question.count("+") + example.question.count(" - ") == 4
    assert example.meta["seed"] == 7


def test_an_unknown_data_set_is_named_with_the_closest_one():
    with pytest.raises(UnknownNameError, match="'chain_sm': did you mean 'chain_sum'"):
        get_task("reasoning-gym:chain_sm")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_term": 3}, "has no option 'max_term': did you mean 'max_terms'"),
        ({"min_terms": 9, "max_terms": 2}, "refuses the settings"),
        ({"min_terms": "two"}, "refuses the settings"),
        ({"size": 0}, "refuses the settings"),
        ({"shots": -1}, "shots=-1 of chain_sum: expected a whole number"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"test": 2}, "add up to at most 1"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options, problem):
    with pytest.raises(ConfigError, match=problem):
        get_task("reasoning-gym:chain_sum", **options)
