import pytest

from skiploop.errors import ConfigError, UnknownNameError
from skiploop.tasks import SPLITS, get_task


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
