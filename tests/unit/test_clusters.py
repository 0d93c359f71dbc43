"""Kinds of questions that nobody named, found from their texts or from points."""

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skiploop.clusters import MIN_SIZE, clusters, text_clusters

NAMES, THINGS = ("Ann", "Bob", "Tom", "Mary"), ("apples", "pears", "pens", "cars")
TWO_KINDS = (
    ("How many {t} do {a} boxes of {b} hold?", "Is {a} larger than {b}?"),
    (
        "{n} has {a} {t} and gets {b} more. Is it odd?",
        "{n} has {a} {t} and gets {b} more. Is it even?",
    ),
    ("Today {n} has {a} {t}, then {b} more.", "Earlier {n} has {a} {t}, then {b} more."),
    ("{a} + {b}", "{a} * {b}"),
)


def purity(labels, kinds):
    """The share of points that are of the commonest kind of their group."""
    return sum(
        max(Counter(kinds[i] for i in np.flatnonzero(labels == label)).values())
        for label in set(labels.tolist())
    ) / len(labels)


@pytest.mark.parametrize("templates", TWO_KINDS)
@pytest.mark.parametrize("n", [600, 2000])
def test_two_kinds_of_texts_are_told_apart_whatever_numbers_and_names_they_hold(templates, n):
    rng = random.Random(0)
    texts = [
        templates[i % 2].format(
            n=rng.choice(NAMES), t=rng.choice(THINGS), a=rng.randint(2, 99), b=rng.randint(2, 99)
        )
        for i in range(n)
    ]
    labels = text_clusters(texts)
    assert purity(labels, [i % 2 for i in range(n)]) > 0.99
    assert labels.tolist() == text_clusters(texts).tolist()


def test_kinds_that_show_in_the_points_are_told_apart():
    rng = np.random.default_rng(0)
    kinds = np.arange(600) % 2
    points = rng.normal(size=(600, 8)) * 0.3
    points[:, 0] += 4 * kinds
    assert purity(clusters(points), kinds) == 1
    wide = np.hstack([points, rng.normal(size=(600, 1500)) * 0.01])
    assert purity(clusters(wide), kinds) == 1


@given(st.integers(1, 200), st.integers(1, 40), st.integers(0, 9), st.booleans())
@settings(max_examples=40, deadline=None)
def test_every_point_has_a_group_and_small_groups_join_others(n, size, seed, is_constant):
    points = np.random.default_rng(seed).integers(0, 1 if is_constant else 4, size=(n, 3))
    labels = clusters(points, size)
    assert len(labels) == n
    counts = np.bincount(labels)
    assert len(counts) == 1 or (2 * counts.min() >= size and len(counts) <= n // size)


def test_few_texts_and_texts_without_a_difference_are_one_group():
    assert set(text_clusters(["a", "something else"])) == {0}
    assert set(text_clusters([f"case {i}" for i in range(5 * MIN_SIZE)])) == {0}
    assert set(text_clusters([""] * 5 * MIN_SIZE)) == {0}
