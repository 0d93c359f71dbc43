import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skiploop.errors import ConfigError, DataError
from skiploop.tasks import SPLITS, get_task
from skiploop.tasks.key import question_key
from skiploop.tasks.lines import parse_lines
from skiploop.tasks.questions import grade_question

QUESTIONS = Path(__file__).parents[1] / "data" / "questions"


def task_of(tmp_path, *lines, **options):
    path = tmp_path / "questions.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts))
    return get_task(f"jsonl:{path}", **{"shots": 0, **options})


def only_example(task):
    (example,) = [example for split in SPLITS for example in task.examples(split)]
    return example


def question(i, **keys):
    return {"question": f"What is {i}?", "answer": str(i), **keys}


def test_the_name_tells_the_content_of_the_file(tmp_path):
    first = task_of(tmp_path, question(1), shots=0)
    second = task_of(tmp_path, question(2), shots=0)
    assert first.name.startswith("jsonl:questions.jsonl@")
    assert first.name != second.name
    name = get_task(f"jsonl:{QUESTIONS / 'numbers.jsonl'}").name
    assert name == "jsonl:numbers.jsonl@573c4dba"


def test_options_that_change_the_questions_are_in_the_name(tmp_path):
    name = task_of(tmp_path, question(1), shots=0, test=0.5).name
    assert name.endswith(",shots=0,test=0.5")


def test_the_order_of_lines_changes_nothing(tmp_path):
    lines = [question(i) for i in range(30)]
    forward = task_of(tmp_path, *lines, shots=2)
    backward = task_of(tmp_path, *reversed(lines), shots=2)
    for split in SPLITS:
        texts = [example.question for example in forward.examples(split)]
        assert texts == [example.question for example in backward.examples(split)]


def test_the_same_question_in_other_capitals_is_in_the_same_split(tmp_path):
    lines = [question(f"x{i}") for i in range(40)]
    shouted = [{**line, "question": line["question"].upper()} for line in lines]
    task = task_of(tmp_path, *lines, *shouted)
    for split in SPLITS:
        texts = [example.question.lower() for example in task.examples(split)]
        assert len(texts) == 2 * len(set(texts))


@pytest.mark.parametrize("n_copies", [2, 3])
def test_lines_that_repeat_count_once_and_are_told_of(tmp_path, caplog, n_copies):
    lines = [question(i) for i in range(30)]
    spaced = {**question(4), "question": " What  is 4?", "note": "again"}
    with caplog.at_level("INFO", "skiploop"):
        task = task_of(tmp_path, *lines * n_copies, spaced, shots=3)
    n_repeated = 30 * (n_copies - 1) + 1
    assert f"{n_repeated} lines repeat an earlier one and do not count" in caplog.text
    once = task_of(tmp_path, *lines, shots=3)
    for split in SPLITS:
        assert task.examples(split) == once.examples(split)
    prompt = task.prompt(task.examples("train", 1)[0])
    assert prompt == once.prompt(once.examples("train", 1)[0])


def test_a_file_without_repeated_lines_says_nothing(tmp_path, caplog):
    with caplog.at_level("INFO", "skiploop"):
        task_of(tmp_path, *map(question, range(30)))
    assert not caplog.text


def test_the_same_question_with_other_choices_is_another_line(tmp_path):
    choices = [["a", "b"], ["a", "c"], ["b", "a"]]
    lines = [{"question": "Which?", "choices": some, "answer": "a"} for some in choices]
    examples = all_examples(task_of(tmp_path, *lines))
    assert [example.choices for example in examples] == [("a", "b"), ("a", "c")]
    assert len({example.group for example in examples}) == 1


@pytest.mark.parametrize(
    ("lines", "n_groups"),
    [
        ([("7 + 12 =", 19), ("12 + 7 =", 19), ("12+7", 19), ("12 - 7", 5)], 2),
        ([("What is it?", "x"), ("What is it ?", "x"), ("WHAT IS IT?", "x")], 1),
        ([("a", "b"), ("A", "B"), ("b", "c"), ("B", "C"), ("monday", "tuesday")], 5),
        ([("red", "colour"), ("Red", "colour"), ("oak", "tree")], 2),
    ],
)
def test_lines_are_one_group_unless_their_answers_tell_them_apart(tmp_path, lines, n_groups):
    task = task_of(tmp_path, *({"question": q, "answer": a} for q, a in lines))
    examples = all_examples(task)
    assert len(examples) == len(lines)
    assert len({example.group for example in examples}) == n_groups
    split_of = {}
    for split in SPLITS:
        for example in task.examples(split):
            assert split_of.setdefault(question_key(example.question), split) == split


def test_no_twin_of_a_solved_question_is_asked(tmp_path):
    sums = [f"{a} + {b} =" for a in range(1, 9) for b in range(1, 9)]
    lines = [{"question": one, "answer": eval(one.rstrip("="))} for one in sums]
    task = task_of(tmp_path, *lines, shots=4)
    prompt = task.prompt(task.examples("test", 1)[0])
    shown = {question_key(line[10:]) for line in prompt.split("\n")[:-2] if line[:3] == "Que"}
    assert len(shown) == 4
    assert not shown & {example.group for example in all_examples(task)}


def test_solved_questions_are_in_no_split():
    task = get_task(f"jsonl:{QUESTIONS / 'numbers.jsonl'}", shots=3)
    examples = [example for split in SPLITS for example in task.examples(split)]
    assert len(examples) == 37
    prompt = task.prompt(examples[0])
    assert prompt.count("Question: ") == 4
    shown = prompt.rpartition("Question: ")[0]
    assert not any(f"Question: {example.question}\n" in shown for example in examples)


def test_a_question_without_shots_stands_alone(tmp_path):
    task = task_of(tmp_path, question(7))
    assert task.prompt(only_example(task)) == "Question: What is 7?\nAnswer:"


def test_a_number_is_graded_by_the_first_number_of_the_line(tmp_path):
    task = task_of(tmp_path, {"question": "How many?", "answer": 39})
    example = only_example(task)
    assert example.gold == "39"
    assert task.grade(example, " 39 pieces").correct
    assert not task.grade(example, " 3 or 39").correct


def test_a_text_is_graded_as_a_whole(tmp_path):
    task = task_of(tmp_path, {"question": "Where?", "answer": "New Delhi"})
    example = only_example(task)
    assert task.grade(example, " new delhi.").correct
    assert not task.grade(example, " in New Delhi").correct


@pytest.mark.parametrize("answer", [1, "bank"])
def test_the_right_choice_is_given_by_index_or_text(tmp_path, answer):
    line = {"question": "Where?", "choices": ["river", "bank", "mall"], "answer": answer}
    task = task_of(tmp_path, line)
    example = only_example(task)
    assert task.max_new_tokens == 0
    assert example.choices == ("river", "bank", "mall")
    assert example.gold == "bank"
    assert task.grade(example, " bank").correct
    assert task.grade(example, " mall").correct is False


def all_examples(task):
    return [example for split in SPLITS for example in task.examples(split)]


@pytest.mark.parametrize("number", ["0.00001", "10000000000000000.0", "1e3", "1.50", "-0", "1E400"])
def test_a_number_is_kept_as_the_file_writes_it(tmp_path, number):
    task = task_of(tmp_path, f'{{"question": "q", "answer": {number}}}')
    example = only_example(task)
    assert example.gold == number
    assert task.grade(example, f" {number}").correct is True
    assert task.grade(example, f" {number}1").correct is False


def test_a_number_with_a_point_is_graded_as_its_plain_digits(tmp_path):
    task = task_of(tmp_path, '{"question": "q", "answer": 10000000000000000.0}')
    assert task.grade(only_example(task), " 10000000000000000").correct is True


def test_questions_that_differ_in_case_are_different_and_so_are_their_answers(tmp_path):
    lines = [("a", "b"), ("A", "B"), ("b", "c"), ("B", "C"), ("monday", "tuesday"), ("1", "2")]
    task = task_of(tmp_path, *({"question": q, "answer": a} for q, a in lines))
    examples = {example.question: example for example in all_examples(task)}
    assert {question: example.gold for question, example in examples.items()} == dict(lines)
    for question, gold in lines[:4]:
        assert task.grade(examples[question], f" {gold}").correct is True
        assert task.grade(examples[question], f" {gold.swapcase()}").correct is False
    assert task.grade(examples["monday"], " Tuesday").correct is True


def test_an_answer_that_only_case_tells_from_its_question_must_be_in_that_case(tmp_path):
    task = task_of(tmp_path, {"question": "without", "answer": "Without"})
    verdicts = [task.grade(only_example(task), text).correct for text in ("Without.", "without")]
    assert verdicts == [True, False]


@pytest.mark.parametrize(
    "choices", [["TT", "Tt", "tt"], ["Co", "CO"], ["1/2", "0.5", "50%"], ["St", "St.", "st"]]
)
def test_exactly_one_choice_of_a_question_is_right(tmp_path, choices):
    lines = [
        {"question": f"{index}?", "choices": choices, "answer": answer}
        for index, choice in enumerate(choices)
        for answer in (index, choice)
    ]
    for example in all_examples(task := task_of(tmp_path, *lines)):
        right = [task.grade(example, choice).correct is True for choice in example.choices]
        assert right.index(True) == int(example.question[0])
        assert sum(right) == 1


def test_a_choice_that_is_listed_twice_counts_once(tmp_path):
    line = {"question": "q", "choices": ["ram", "lamb", "ram ", "wolf"], "answer": 2}
    example = only_example(task := task_of(tmp_path, line))
    assert example.choices == ("ram", "lamb", "wolf")
    assert example.gold == "ram"
    assert [task.grade(example, choice).correct for choice in example.choices] == [
        True,
        False,
        False,
    ]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
answers = st.one_of(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(st.tuples(texts, answers, st.none() | st.lists(texts, max_size=4)), max_size=4))
@settings(max_examples=200)
def test_every_accepted_question_has_one_right_answer_and_every_other_line_is_named(rows):
    lines = [
        json.dumps(
            {"question": question, "answer": answer} | ({"choices": choices} if choices else {})
        )
        for question, answer, choices in rows
    ]
    try:
        examples = parse_lines("\n".join(lines).encode(), "q.jsonl", "q")
    except DataError as error:
        assert re.match(r"q\.jsonl(, line \d+:| has no questions)", str(error))
        return
    for example in examples:
        verdicts = [
            grade_question(example, text).correct for text in example.choices or [example.gold]
        ]
        assert verdicts.count(True) == 1
        assert verdicts.count(False) == len(verdicts) - 1


@pytest.mark.parametrize("key", ["category", "kind"])
def test_the_category_of_a_line_is_that_of_its_question(tmp_path, key):
    lines = [question(i, **{key: f"sort {i % 3}"}) for i in range(60)]
    task = task_of(tmp_path, *lines)
    for example in all_examples(task):
        assert example.category == f"sort {int(example.gold) % 3}"
    assert len({example.category for example in task.examples("test")}) == 3


def test_category_counts_before_kind(tmp_path):
    task = task_of(tmp_path, question(1, category="a", kind="b"))
    assert only_example(task).category == "a"


def test_there_is_room_for_the_longest_answer(tmp_path):
    assert task_of(tmp_path, question(1), question(12345)).max_new_tokens == 5 + 8


CHOICES = {"question": "q", "choices": ["a", "b"]}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"question": "q"', "not JSON"),
        ("[" * 100_000, "not JSON of a sensible depth"),
        ([], "not an object"),
        ({"question": "q"}, "no 'answer'"),
        ({"answer": "a"}, "no 'question'"),
        ({"question": " ", "answer": "a"}, "'question' is ' ', expected a text"),
        ({"question": "q", "answer": None}, "'answer' is None, expected a text or a number"),
        ({"question": "q", "answer": True}, "'answer' is True"),
        ({"question": "q", "answer": ""}, "'answer' is '', expected one line"),
        ({**CHOICES, "answer": 2}, "'answer' is 2, expected one of the choices or an index"),
        ({**CHOICES, "answer": "c"}, "'answer' is 'c'"),
        ({**CHOICES, "answer": True}, "'answer' is True"),
        ({**CHOICES, "choices": ["a"], "answer": 0}, "expected a list of two texts or more"),
        ({**CHOICES, "choices": ["a", 3], "answer": 0}, "expected texts that are not empty"),
        ({**CHOICES, "answer": 0}, "choices must be in all lines or in none"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path, line, problem):
    with pytest.raises(DataError, match=f"questions.jsonl, line 3: .*{problem}"):
        task_of(tmp_path, question(1), "", line, question(2))


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"question": "é", "answer": "1"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"line 1: .*utf-8"):
        get_task(f"jsonl:{path}")


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    with pytest.raises(DataError, match="cannot be read"):
        get_task(f"jsonl:{tmp_path / name}")


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no questions"):
        task_of(tmp_path, "", " ")


@pytest.mark.parametrize(
    "options", [{"shots": 99}, {"shots": -1}, {"shots": 1.0}, {"test": 1.1}, {"validation": -0.1}]
)
def test_options_out_of_range_are_refused(tmp_path, options):
    with pytest.raises(ConfigError, match=r"give (a number|numbers) from 0"):
        task_of(tmp_path, *map(question, range(20)), **options)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            b'{"question": "a?", "answer": 1}\n{"question": "a? ", "answer": 2}\n',
            "line 2: the question of line 1 with another answer",
        ),
        (
            '{"question": "\u00e9", "answer": 1}\n{"question": "e\u0301.", "answer": 2}'.encode(),
            "line 2: the question of line 1 with another answer",
        ),
        (b'{"question": "a?", "answer": NaN}\n', "line 1: 'answer' is NaN, expected a finite"),
        (
            b'{"question": "a?", "answer": 1e99999}',
            "line 1: 'answer' is 1e99999, expected a finite",
        ),
        (b'{"question": "a?", "answer": "."}\n', "line 1: right must be '.' and nothing else"),
        (b'{"question": "a?", "answer": "x\\u2028y"}\n', "line 1: right must be 'x"),
        (
            b'{"question": "a", "answer": 1, "category": 2.5}\n{"question": "b", "answer": 1}',
            "line 2: a category must be in all lines",
        ),
        (
            b'{"question": "a?", "answer": "1", "category": ["b"]}',
            "line 1: 'category' is \\['b'\\]",
        ),
        (b'{"question": "a?", "answer": "1", "kind": ""}', "line 1: 'kind' is ''"),
        (
            b'{"question": "a?", "choices": ["b", "b "], "answer": 0}',
            "line 1: .* texts or more that",
        ),
        (
            b'{"question": "a?", "choices": ["b", "c"], "answer": 1.0}',
            "line 1: 'answer' is 1.0, exp",
        ),
        (b'{"question": "\\ud800?", "answer": 1}\n', "line 1: not UTF-8"),
        (b'{"question": "\xe9?", "answer": 1}\n', "line 1: not UTF-8"),
    ],
)
def test_lines_that_cannot_be_meant_are_refused(tmp_path, lines, message):
    file = tmp_path / "q.jsonl"
    file.write_bytes(lines)
    with pytest.raises(DataError, match=message):
        get_task(f"jsonl:{file}")


@pytest.mark.parametrize("share", [float("nan"), "two", -0.1, True])
def test_a_share_that_is_no_number_in_range_is_refused(tmp_path, share):
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "a?", "answer": 1}\n')
    with pytest.raises(ConfigError, match="are no shares"):
        get_task(f"jsonl:{file}", test=share, shots=0)
