import re
from pathlib import Path

import pytest

from skiploop.graders import GraderPool, grade_math, truncate_after_first_box
from skiploop.graders.math import MAX_ANSWER_LENGTH, extract_answer

# Conformance cases that this grader decides differently on purpose, and why.
EXCEPTIONS = {
    "grade_23": "0.5 is not 50: a bare number is not scaled by 100",
    "grade_67": "2 is not 200: a bare number is not scaled by 100",
    "grade_45": "a list without brackets is a set of solutions, in any order",
    "grade_giant": "a factorial that cannot be computed is ungraded, not wrong",
}
DOCS = Path(__file__).parents[2] / "docs" / "reference" / "graders.md"


@pytest.fixture(scope="module")
def pool():
    with GraderPool(time_limit_s=3) as pool:
        yield pool


@pytest.fixture(scope="module")
def verdicts(conformance, pool):
    cases = conformance["grader"]
    grades = grade_math([c["text"] for c in cases], [c["gold"] for c in cases], pool=pool)
    return {case["id"]: (case, grade) for case, grade in zip(cases, grades, strict=True)}


def test_all_conformance_cases_but_the_listed_ones_agree(verdicts):
    assert len(verdicts) == 39
    differing = {
        case_id
        for case_id, (case, grade) in verdicts.items()
        if grade.correct is not (case["expect"] == "correct")
    }
    assert differing == set(EXCEPTIONS)


def test_the_giant_factorial_is_ungraded_for_its_time(verdicts):
    _, grade = verdicts["grade_giant"]
    assert (grade.correct, grade.reason) == (None, "over 3 s")


def test_the_documentation_lists_exactly_the_exceptions():
    row = r"^\| `(grade_\w+)` \|(?:[^|\n]*\|){4} (.*) \|$"
    table = dict(re.findall(row, DOCS.read_text(), re.MULTILINE))
    assert table == EXCEPTIONS


def test_text_is_cut_after_the_first_of_several_boxes(conformance):
    cases = conformance["truncate_after_first_box"]
    assert cases
    for case in cases:
        assert truncate_after_first_box(case["in"]) == case["out"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} and \boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{ {a}{b} } tail }", "{a}{b}"),
        (r"\boxed{7", "7"),
        (r"\boxed{8} #### 9" + "\nmore", "9"),
        (r"\boxed{8}. Therefore, the answer is 12.", "12"),
        (r"\boxed{8}. Therefore \boxed{12}.", "12"),
        (r"\boxed{}", ""),
        ("7", None),
        ("#### 9", None),
    ],
)
def test_the_final_answer_is_found(text, answer):
    assert extract_answer(text) == answer


@pytest.mark.parametrize("answer", [r"2^{3^2}", "2**3**2", "512.0", r"\dfrac{1024}{2}", "x=512"])
def test_equal_values_in_other_forms_are_correct(answer, pool):
    assert grade_math([rf"\boxed{{{answer}}}"], ["512"], pool=pool)[0].correct is True


@pytest.mark.parametrize(
    ("answer", "gold", "correct"),
    [
        ("3 2", "32", False),
        ("3 2", "5", False),
        ("1 1/2", "11/2", False),
        ("x = 1 1/2", "3/2", True),
        ("½x", "x/2", True),
        ("x²", "x^2", True),
        ("1.414214", r"\sqrt{2}", False),
        (r"\sqrt{2}", "1.4142135", False),
        ("(0.0000001, 2)", "(0.0000002, 2)", False),
        (r"0.0000001\text{ m}", r"0.0000002\text{ m}", False),
        (r"0.5\pi", r"\frac{\pi}{2}", True),
        ("1:00", "12:00", False),
        ("01:00", "1:00", True),
        ("1:00 pm", "12:00 pm", False),
        ("2:40", "1:20", None),
        ("6:4", "3:2", True),
        ("cafe\u0301", "caf\u00e9", True),
    ],
)
def test_expressions_are_compared_exactly(answer, gold, correct, pool):
    assert grade_math([rf"\boxed{{{answer}}}"], [gold], pool=pool)[0].correct is correct


def test_a_word_is_only_equal_to_itself(pool):
    texts = [r"\boxed{\text{monday}}", r"\boxed{dayMon}", r"\boxed{M o n d a y}"]
    grades = grade_math(texts, [r"\text{Monday}"] * 3, pool=pool)
    assert [grade.correct for grade in grades] == [True, False, True]


def test_endless_powers_are_ungraded_and_their_batch_is_graded():
    texts = [r"\boxed{5}", r"\boxed{9**9**9**9}", r"\boxed{6}", r"\boxed{5.0}"]
    with GraderPool(time_limit_s=1, n_workers=1) as pool:
        grades = grade_math(texts, ["5"] * 4, pool=pool)
    assert [grade.correct for grade in grades] == [True, None, False, True]
    assert (grades[1].answer, grades[1].reason) == ("9**9**9**9", "over 1 s")


def test_a_megabyte_of_brackets_is_ungraded(pool):
    grade = grade_math([r"\boxed{" + "(" * 1_000_000], ["5"], pool=pool)[0]
    assert grade.correct is None
    assert grade.reason == "answer of 1000000 characters, more than 500"
    assert len(grade.answer) == MAX_ANSWER_LENGTH


def test_no_process_is_started_when_there_is_nothing_to_compare():
    with GraderPool(time_limit_s=1) as pool:
        grades = grade_math(["5", "", r"\boxed{ }"], ["5"] * 3, pool=pool)
        assert pool.process_ids() == []
    assert [(grade.correct, grade.reason) for grade in grades] == [
        (False, "no box"),
        (False, "no box"),
        (False, "empty answer"),
    ]


@pytest.mark.parametrize("texts", [["0.5", "1/2", "\\frac{1}{2}"], ["x + 1", "x+1", "$x+1$"]])
def test_answers_in_boxes_that_differ_in_spelling_are_one(texts, pool):
    grades = grade_math([f"\\boxed{{{text}}}" for text in texts], texts[:1] * 3, pool=pool)
    assert [grade.correct for grade in grades] == [True] * 3
    assert len({grade.answer for grade in grades}) == 1
