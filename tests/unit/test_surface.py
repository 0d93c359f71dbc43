"""What the text of a question alone tells."""

import subprocess
import sys

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from skiploop.policies.selector.surface import WIDTH, SurfaceText, hashed


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


def test_a_prompt_is_described_by_its_question_alone():
    encoder = SurfaceText({"1+1=2\n2+3=": "2+3", "5+5=10\n2+3=": "2+3"})
    first, second = encoder.encode(["1+1=2\n2+3=", "5+5=10\n2+3="])
    assert torch.equal(first, second) and first.shape == (1, encoder.width)
