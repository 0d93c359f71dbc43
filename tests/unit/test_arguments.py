"""What callers give is taken as meant, or refused by one line of ours."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.arguments import listed, number, shown, texts, whole_number, whole_numbers
from skiploop.errors import BatchError, ConfigError

WORDS = ["a", "\n", "né"]


@pytest.mark.parametrize(
    "make",
    [list, tuple, iter, np.array, lambda words: (w for w in words), lambda words: map(str, words)],
)
def test_a_list_is_anything_with_an_order_and_is_read_once(make):
    assert texts("stop", make(WORDS)) == tuple(WORDS)


@pytest.mark.parametrize("value", ["END", b"END", {"a"}, {"a": 1}, None, 3, np.array("END")])
def test_what_is_no_list_is_refused_by_name(value):
    with pytest.raises(BatchError, match="stop must be a list of texts, not "):
        texts("stop", value)


def test_an_iterator_that_does_not_end_is_refused():
    with pytest.raises(BatchError, match="prompts has more than 10,000,000 entries"):
        listed("prompts", itertools.repeat("a"), of="texts")


@pytest.mark.parametrize("value", [None, 3, ["a"], b"a"])
def test_an_entry_that_is_no_text_is_named_by_its_place(value):
    with pytest.raises(BatchError, match=r"prompts\[1\] is .*: give a text"):
        texts("prompts", ["a", value])


def test_half_a_surrogate_pair_is_no_text():
    with pytest.raises(BatchError, match=r"prompts\[0\] is no Unicode text"):
        texts("prompts", ["\ud800"])


@given(st.integers())
def test_whole_numbers_of_all_sizes_and_libraries_become_plain_ones(value):
    assert whole_number("n", value) == value
    if abs(value) < 2**31:
        (found,) = whole_numbers("seeds", np.array([value]))
        assert found == value and type(found) is int


@given(st.one_of(st.floats(), st.booleans(), st.none(), st.text(), st.lists(st.integers())))
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^n is .*: give a whole number, at least 1$"):
        whole_number("n", value, at_least=1, error=ConfigError)


@given(st.one_of(st.booleans(), st.none(), st.text(), st.sampled_from([1e999, -1e999, 1e999 * 0])))
def test_what_is_no_finite_number_is_refused_by_name(value):
    with pytest.raises(ConfigError, match=r"^p is .*: give a finite number$"):
        number("p", value, error=ConfigError)


def test_what_was_given_is_shown_on_one_short_line():
    for value in (10**5000, "x" * 10**6, np.zeros((9, 9)), ["a\nb"] * 10**6, object()):
        line = shown(value)
        assert len(line) < 200 and "\n" not in line
