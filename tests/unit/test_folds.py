import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from skiploop.policies.selector.folds import deal, numbered


@given(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40), st.integers(2, 6))
def test_a_group_is_in_one_fold_and_no_fold_is_empty(groups, n_folds):
    fold_Q = deal(numbered(groups), n_folds, seed=3).tolist()
    assert len(set(zip(groups, fold_Q, strict=True))) == len(set(groups))
    assert set(fold_Q) == set(range(min(n_folds, len(set(groups)))))


def test_groups_are_numbered_as_they_first_come():
    assert numbered(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("seed", [0, 7])
def test_questions_of_their_own_are_dealt_as_ever(seed):
    order = torch.randperm(50, generator=torch.Generator().manual_seed(seed))
    expected = torch.empty_like(order)
    expected[order] = torch.arange(50) % 5
    assert torch.equal(deal(torch.arange(50), 5, seed), expected)


def test_some_of_the_groups_are_dealt_as_evenly():
    fold_Q = deal(torch.tensor([40, 7, 7, 90, 55, 8]), 5, seed=0).tolist()
    assert sorted(set(fold_Q)) == [0, 1, 2, 3, 4] and fold_Q[1] == fold_Q[2]
