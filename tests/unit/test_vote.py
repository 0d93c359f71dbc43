"""The answers of several programs become one."""

from hypothesis import given
from hypothesis import strategies as st

from skiploop.predictor.vote import Ballot, Outcome, count

BALLOTS = st.lists(
    st.builds(Ballot, st.sampled_from("abcd"), st.integers(0, 64).map(lambda n: n / 64)), min_size=1
)


def winner_of_all(ballots):
    totals = {}
    for ballot in ballots:
        totals[ballot.answer] = totals.get(ballot.answer, 0) + ballot.weight
    return max(totals, key=totals.__getitem__)


@given(BALLOTS)
def test_an_early_end_changes_no_answer(ballots):
    outcome = count(ballots)
    assert 1 <= outcome.n_asked <= len(ballots)
    winner = ballots[outcome.winner]
    assert winner.answer == winner_of_all(ballots)
    asked = ballots[: outcome.n_asked]
    assert winner.weight == max(b.weight for b in asked if b.answer == winner.answer)


@given(BALLOTS)
def test_no_later_ballot_could_change_what_ended_early(ballots):
    outcome = count(ballots)
    rest = [Ballot("other", 1.0)] * (len(ballots) - outcome.n_asked)
    assert winner_of_all([*ballots[: outcome.n_asked], *rest]) == ballots[outcome.winner].answer


def test_a_majority_of_five_is_decided_by_three_that_agree():
    same, other = Ballot("7", 1.0), Ballot("8", 1.0)
    assert count([same, same, same, other, other]) == Outcome(0, 3)
    assert count([same, other, other, same, other]) == Outcome(1, 5)


def test_equal_answers_go_to_the_one_given_first():
    assert count([Ballot("b", 0.5), Ballot("a", 0.5)]) == Outcome(0, 2)
