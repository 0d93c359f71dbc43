"""What the text of a prompt tells."""

import subprocess
import sys

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from skiploop.policies.selector.surface import WIDTH, SurfaceText, hashed
from skiploop.tasks.base import Example


@given(st.text(st.characters(), max_size=80))
@example("half of a pair: \ud800")
def test_any_text_has_finite_features_of_one_width(text):
    features = hashed(text)
    assert features.shape == (WIDTH,) and features.isfinite().all()
    assert torch.equal(features, hashed(text))


def test_features_are_the_same_in_another_process():
    code = "from skiploop.policies.selector.surface import hashed; print(hashed('12 + 7 ='))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1 and "tensor" in outputs.pop()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 + 7", "123 + 7"),  # another length
        ("12 + 7", "32 + 7"),  # another first digit
        ("121 + 7", "123 + 7"),  # another last digit
        ("12 + 7", "7 + 12"),  # the numbers in other places
        ("12 + 7", "12 * 7"),
        ("a cat", "a cot"),
    ],
)
def test_what_spelling_tells_is_told(one, other):
    assert not torch.equal(hashed(one), hashed(other))


def test_a_digit_inside_a_number_tells_nothing():
    assert torch.equal(hashed("123 + 7"), hashed("193 + 7"))


def rows(*asked):
    """Return what describes each prompt, which is what comes before a question and after it."""
    example_of = {
        before + question + "=": Example(question, question, "", choices=choices)
        for before, question, choices in asked
    }
    return torch.cat(SurfaceText(example_of).encode(list(example_of)))


def test_a_question_and_what_comes_before_it_are_described_apart():
    rows_QE = rows(("1+1=2\n", "2+3", ()), ("5+5=10\n", "2+3", ()), ("1+1=2\n", "7+24", ()))
    question_QE, before_QE = rows_QE.split(WIDTH, dim=1)
    assert question_QE[0].equal(question_QE[1]) and not question_QE[0].equal(question_QE[2])
    assert before_QE[0].equal(before_QE[2]) and not before_QE[0].equal(before_QE[1])


def test_choices_are_read():
    first, second = rows(("A: ", "Which?", ("a cat", "a dog")), ("B: ", "Which?", ("one", "two")))
    assert not first[:WIDTH].equal(second[:WIDTH])


def test_the_last_place_of_a_question_in_its_prompt_is_where_it_is_asked():
    (row,) = rows(("2+3=5\n", "2+3", ()))
    assert row[WIDTH:].equal(hashed("2+3=5\n"))
