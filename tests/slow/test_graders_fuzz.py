"""Tens of thousands of spellings: the same value is right, another is wrong, for every grader."""

from collections import Counter

import pytest
from hypothesis import given, settings

from spellings import lookalikes, spelled, verdicts

pytestmark = pytest.mark.slow


def test_no_spelling_moves_a_verdict():
    counts = Counter()

    @given(spelled())
    @settings(max_examples=10_000)
    def check(pair):
        value, text = pair
        for gold in (value, *lookalikes(value, text)):
            found = verdicts(text, str(gold))
            is_same = gold == value
            names = found if is_same else ("number", "first number", "math")
            for name in names:
                assert found[name] is (is_same and name != "choice, other"), (name, text, gold)
            counts["right" if is_same else "wrong"] += len(names)

    check()
    print(f"{dict(counts)}: all of them")  # noqa: T201 (the counts are the result)
    assert min(counts.values()) >= 50_000
