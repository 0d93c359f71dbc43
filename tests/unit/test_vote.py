"""The answers of several programs become one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skiploop.errors import ConfigError
from skiploop.policies.base import IdentityPolicy
from skiploop.policies.vote import Outcome, Vote, alike, elect, probability

WEIGHTS = st.integers(0, 64).map(lambda n: n / 64)
BALLOTS = st.lists(st.tuples(st.sampled_from("abcd"), WEIGHTS), min_size=1)


def count(ballots):
    answers, weights = zip(*ballots, strict=True)
    return elect(answers, answers, weights)


def totals_of(ballots):
    totals = {}
    for answer, weight in ballots:
        totals[answer] = totals.get(answer, 0) + weight
    return totals


def winner_of_all(ballots):
    totals = totals_of(ballots)
    return max(totals, key=totals.__getitem__)


@given(BALLOTS)
def test_an_early_end_changes_no_answer(ballots):
    outcome = count(ballots)
    assert 1 <= outcome.n_asked <= len(ballots)
    winner, weight = ballots[outcome.winner]
    assert winner == winner_of_all(ballots)
    asked = ballots[: outcome.n_asked]
    assert weight == max(one for answer, one in asked if answer == winner)


@given(BALLOTS)
def test_no_later_ballot_could_change_what_ended_early(ballots):
    outcome = count(ballots)
    rest = [("other", 1.0)] * (len(ballots) - outcome.n_asked)
    assert winner_of_all([*ballots[: outcome.n_asked], *rest]) == ballots[outcome.winner][0]


@given(BALLOTS)
def test_the_confidence_is_that_of_all_ballots(ballots):
    assert count(ballots).confidence == max(totals_of(ballots).values()) / len(ballots)


def test_every_answer_weighs_but_what_is_none():
    logprobs = [-0.5, -800.0, None]
    assert list(map(alike, logprobs)) == [1.0, 1.0, 0.0]  # a long answer is unlikely, not none
    assert list(map(probability, logprobs)) == [math.exp(-0.5), 0.0, 0.0]


def test_more_votes_than_programs_are_refused():
    vote = Vote(IdentityPolicy(6), 2, weigh=alike, name="majority:2")
    with pytest.raises(ConfigError, match="2 programs were to vote, identity has 1"):
        vote.choose(["2 + 2 ="])


def test_a_majority_of_five_is_decided_by_three_that_agree():
    same, other = ("7", 1.0), ("8", 1.0)
    assert count([same, same, same, other, other]) == Outcome(0, 3, 3 / 5)
    assert count([same, other, other, same, other]) == Outcome(1, 5, 3 / 5)


def test_the_extracted_answer_votes_and_the_text_where_there_is_none():
    texts = [" 7", "7 ", "about 8", "8"]
    assert elect(["7", "7", "", "8"], texts, [0.5, 0.75, 1.0, 1.0]) == Outcome(1, 4, 1.25 / 4)
    assert elect([""] * 4, texts, [1.0] * 4).confidence == 1 / 4


def test_equal_answers_go_to_the_one_given_first():
    assert count([("b", 0.5), ("a", 0.5)]) == Outcome(0, 2, 0.25)
