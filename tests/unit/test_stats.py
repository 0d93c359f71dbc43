import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.stats import (
    SIGNIFICANCE,
    Paired,
    Share,
    holm,
    mcnemar_exact,
    paired_interval,
    sign_flip_exact,
    wilson,
)
from twins import false_calls

Z = 1.959963984540054


def test_wilson_has_the_known_interval_of_half_of_ten():
    assert wilson(5, 10) == pytest.approx((0.236593, 0.763407), abs=1e-6)


def test_wilson_of_no_hit_in_ten_starts_at_zero_and_ends_at_28_percent():
    # With no hit the upper end is z^2 / (n + z^2).
    assert wilson(0, 10) == pytest.approx((0.0, Z**2 / (10 + Z**2)), abs=1e-9)
    assert wilson(0, 10)[1] == pytest.approx(0.277533, abs=1e-6)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_ends_solve_the_score_equation(case):
    count, total = case
    for p in wilson(count, total):
        distance = abs(p - count / total)
        assert distance == pytest.approx(Z * math.sqrt(max(p * (1 - p), 0) / total), abs=1e-6)


def test_wilson_knows_nothing_without_a_try():
    assert wilson(0, 0) is None
    assert Share(0, 0).value is None
    assert Share(0, 0).figures() == {
        "count": 0,
        "total": 0,
        "value": None,
        "low": None,
        "high": None,
    }


def test_wilson_refuses_more_hits_than_tries():
    with pytest.raises(ValueError, match="3 hits in 2 tries"):
        wilson(3, 2)


@pytest.mark.parametrize(
    ("b", "c", "p"),
    [
        (0, 0, 1.0),
        (4, 4, 1.0),
        (5, 0, 2 / 32),
        (6, 0, 2 / 64),
        (1, 9, 2 * (1 + 10) / 1024),
        (8, 2, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_is_twice_the_tail_of_a_fair_coin(b, c, p):
    assert mcnemar_exact(b, c) == pytest.approx(p, rel=1e-12)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_matches_exact_integer_arithmetic(b, c):
    n = b + c
    tail = sum(math.comb(n, i) for i in range(min(b, c) + 1))
    assert mcnemar_exact(b, c) == pytest.approx(min(1, 2 * tail / 2**n), rel=1e-9)
    assert mcnemar_exact(b, c) == mcnemar_exact(c, b)


def test_mcnemar_refuses_a_negative_count():
    with pytest.raises(ValueError, match="must not be negative"):
        mcnemar_exact(-1, 2)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_the_sign_flip_test_counts_all_signs_of_the_groups(nets):
    sums = [sum(s * net for s, net in zip(signs, nets, strict=True)) for signs in flips(nets)]
    p = np.mean([abs(one) >= abs(sum(nets)) for one in sums])
    assert sign_flip_exact(nets) == pytest.approx(p, rel=1e-9)


def flips(nets):
    return product((1, -1), repeat=len(nets))


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_flip_test_of_single_questions_is_mcnemars(b, c):
    pairs = [(True, False)] * b + [(False, True)] * c + [(True, True)] * 3
    assert Paired.of(pairs).p == Paired.of(pairs, range(len(pairs))).p == mcnemar_exact(b, c)


@given(
    st.lists(st.sampled_from([(True, False), (False, True), (True, True)]), max_size=20),
    st.integers(1, 5),
)
def test_copies_of_all_questions_make_nothing_surer(pairs, n_copies):
    groups = list(range(len(pairs))) * n_copies
    copied = Paired.of(pairs * n_copies, groups)
    alone = Paired.of(pairs)
    assert copied.p == pytest.approx(alone.p)
    assert copied.difference == pytest.approx(alone.difference)
    assert copied.only_first == alone.only_first * n_copies


def test_two_questions_three_times_each_are_two_questions():
    pairs = [(True, False)] * 6
    assert Paired.of(pairs).p == mcnemar_exact(6, 0) == pytest.approx(1 / 32)
    found = Paired.of(pairs, "aaabbb")
    assert found == Paired(only_first=6, only_second=0, total=6, tied=((3, 0), (3, 0)))
    assert found.p == mcnemar_exact(2, 0) == pytest.approx(0.5)
    assert found.figures()["tied"] == [[3, 0], [3, 0]]


def test_twins_without_a_verdict_or_a_difference_tie_nothing():
    pairs = [(True, False), (None, True), (True, True), (True, False)]
    assert Paired.of(pairs, "aaab") == Paired(only_first=2, only_second=0, total=3)


def test_a_verdict_that_twins_share_is_no_difference_where_there_is_none():
    of_groups, of_questions = false_calls(n_runs=1000, n_groups=40, likeness=1.0, seed=0)
    assert of_groups <= SIGNIFICANCE + 3 * math.sqrt(SIGNIFICANCE * (1 - SIGNIFICANCE) / 1000)
    assert of_questions > 2 * SIGNIFICANCE  # what groups are for


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_keeps_the_order():
    # Sorted: 0.005*4, 0.01*3, 0.03*2, 0.04*1 -> raised to the running maximum.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_value_nor_reverses_two(values):
    adjusted = holm(values)
    assert all(a >= p and a <= 1 for a, p in zip(adjusted, values, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(a for _, a in pairs)


def test_an_ungraded_answer_is_neither_right_nor_wrong():
    assert Share.of([True, None, False, True]) == Share(2, 3)


def test_a_pair_counts_only_if_both_verdicts_are_known():
    pairs = [(True, False), (True, True), (False, True), (True, False), (None, True), (True, None)]
    paired = Paired.of(pairs)
    assert paired == Paired(only_first=2, only_second=1, total=4)
    assert paired.difference == 0.25
    assert paired.p == 1.0
    assert Paired.of([(None, True)]).difference is None


def coverage(n, first, second):
    """Return how often the interval of a paired difference holds it, over all tables."""
    held = 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            ways = math.comb(n, b) * math.comb(n - b, c)
            chance = ways * first**b * second**c * (1 - first - second) ** (n - b - c)
            if chance > 1e-7:
                low, high = paired_interval(b, c, n)
                held += chance * (low <= first - second <= high)
    return held


@pytest.mark.parametrize(("first", "second"), [(0.1, 0.05), (0.2, 0.2), (0.3, 0.1), (0.03, 0.0)])
def test_the_interval_of_a_paired_difference_holds_it_95_times_of_100(first, second):
    assert 0.94 <= coverage(25, first, second) <= 1


def test_the_interval_of_a_paired_difference_is_wilsons_where_nothing_differs():
    low, high = paired_interval(0, 0, 36)
    assert (-low, high) == pytest.approx((wilson(0, 36)[1],) * 2)
    assert Paired(0, 0, 36).interval == (low, high) and Paired(0, 0, 0).interval is None


@pytest.mark.parametrize("counts", [(25, 8, 150), (5, 0, 30), (36, 0, 36), (1, 1, 2)])
def test_the_interval_of_a_paired_difference_turns_round_with_the_two_answerers(counts):
    first, second, total = counts
    low, high = paired_interval(first, second, total)
    assert paired_interval(second, first, total) == pytest.approx((-high, -low))
    assert -1 <= low < (first - second) / total <= high <= 1


def test_questions_that_are_one_make_the_interval_of_a_difference_wider():
    alone, tied = Paired(12, 3, 60), Paired(12, 3, 60, tied=((4, 0), (4, 0)))
    assert tied.interval[0] < alone.interval[0] < alone.interval[1] < tied.interval[1]
