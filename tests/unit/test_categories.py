"""Questions of a category that was not learned from are told; those of known ones are taken."""

from dataclasses import replace

import pytest
import torch

from skiploop.policies.selector.categories import (
    KEPT,
    KnownCategories,
    distances_out_of_fold,
    limit_of,
)
from skiploop.policies.selector.folds import deal
from skiploop.policies.selector.kernel import KernelRidge

N_CATEGORIES, N_OF_EACH, WIDTH = 12, 40, 64


def questions(seed=0, n_of_each=N_OF_EACH):
    """Categories that differ in 12 directions, in which questions of one category are alike.

    In the other 52 directions they differ by more than the categories do.
    """
    generator = torch.Generator().manual_seed(seed)
    centers_CF = torch.randn(N_CATEGORIES, WIDTH, generator=torch.Generator().manual_seed(99))
    scale_F = torch.where(torch.arange(WIDTH) < 12, 0.2, 3.0)
    category_Q = torch.arange(N_CATEGORIES).repeat(n_of_each)
    noise_QF = torch.randn(len(category_Q), WIDTH, generator=generator)
    return centers_CF[category_Q] + scale_F * noise_QF, category_Q


def learned(features_QF, category_Q):
    """What is found where a choice gains as much on all questions."""
    fold_Q = deal(torch.arange(len(features_QF)), 5, 0)
    distance_Q = distances_out_of_fold(features_QF, category_Q, fold_Q)
    limit = limit_of(distance_Q, distance_Q, torch.ones_like(distance_Q))
    return replace(KnownCategories.fit(features_QF, category_Q), limit=limit)


@pytest.mark.parametrize("left_out", range(N_CATEGORIES))
def test_a_category_left_out_is_told_where_distance_among_all_features_tells_nothing(left_out):
    features, category = questions()
    new = category == left_out
    assert learned(features[~new], category[~new]).lack(features[new]).float().mean() > 0.95
    scores = torch.zeros(int((~new).sum()), 1)
    (model,) = KernelRidge.fit(features[~new], scores, torch.ones(len(scores)), [1.0])
    assert not model.look(features[new])[1].any()


def test_new_questions_of_known_categories_are_taken_for_such():
    found = learned(*questions()).lack(questions(seed=1)[0])
    assert found.float().mean() == pytest.approx(1 - KEPT, abs=0.05)


def test_as_many_new_questions_are_within_the_limit_as_are_to_be_kept():
    known, new = torch.linspace(0, 1, 101), torch.linspace(1, 2, 101)
    assert limit_of(new, known, torch.ones(101)) == pytest.approx(1 + KEPT)


def test_the_limit_keeps_most_of_the_gain_where_that_lies_far_from_the_categories():
    known, gain = torch.linspace(0, 1, 101), torch.zeros(101)
    gain[95:] = 1.0
    limit = limit_of(known, known, gain)
    assert gain[known <= limit].sum() >= KEPT * gain.sum() > gain[known < limit - 0.005].sum()


@pytest.mark.parametrize("gain", [0.0, -1.0])
def test_without_any_gain_new_questions_alone_decide(gain):
    known = torch.linspace(0, 1, 101)
    assert limit_of(known / 2, known, torch.full((101,), gain)) == pytest.approx(KEPT / 2)


def test_one_category_alone_is_told_from_nothing():
    features, category = questions()
    alone = learned(features, torch.zeros_like(category))
    assert alone.directions_FD.shape == (WIDTH, 0)
    assert not alone.lack(features + 100).any()


def test_the_names_and_the_order_of_categories_say_nothing():
    features, category = questions()
    new, _ = questions(seed=1)
    distances = learned(features, category).distances(new)
    renamed = learned(features, 7 * (N_CATEGORIES - category)).distances(new)
    assert torch.allclose(renamed, distances, rtol=1e-3)


def test_the_units_of_features_say_nothing():
    features, category = questions()
    units = torch.logspace(-3, 3, WIDTH)
    new, _ = questions(seed=1)
    distances = learned(features, category).distances(new)
    rescaled = learned(features * units, category).distances(new * units)
    assert torch.allclose(rescaled, distances, rtol=1e-3)


def test_features_that_never_change_and_equal_questions_leave_it_whole():
    features, category = torch.zeros(20, 3), torch.arange(20) % 2
    features[:, 0] = category
    found = learned(features, category)
    assert not found.lack(features).any()
    assert found.lack(torch.tensor([[5.0, 0.0, 0.0]])).all()


def test_what_is_said_of_a_fold_does_not_depend_on_it():
    features, category = questions()
    fold = deal(torch.arange(len(features)), 5, 0)
    before = distances_out_of_fold(features, category, fold)
    changed = features.clone()
    changed[fold == 2] += 1.0
    after = distances_out_of_fold(changed, category, fold)
    held = (fold == 2).nonzero()[0]
    one = KnownCategories.fit(features[fold != 2], category[fold != 2])
    assert torch.allclose(after[fold == 2], one.distances(changed[fold == 2]))
    assert not torch.equal(before[held], after[held])
