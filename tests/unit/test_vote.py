"""The answers of several programs become one."""

from hypothesis import given
from hypothesis import strategies as st

from skiploop.predictor.vote import Ballot, Outcome, count

BALLOTS = st.lists(
    st.builds(Ballot, st.sampled_from("abcd"), st.integers(0, 64).map(lambda n: n / 64)), min_size=1
)


THRESHOLDS = st.integers(0, 64).map(lambda n: n / 64)


def totals_of(ballots):
    totals = {}
    for ballot in ballots:
        totals[ballot.answer] = totals.get(ballot.answer, 0) + ballot.weight
    return totals


def winner_of_all(ballots):
    totals = totals_of(ballots)
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


@given(BALLOTS, THRESHOLDS)
def test_an_early_end_changes_no_abstention_and_asks_no_less_than_a_vote_that_never_abstains(
    ballots, threshold
):
    outcome, always = count(ballots, threshold), count(ballots)
    assert ballots[outcome.winner].answer == ballots[always.winner].answer
    assert outcome.n_asked >= always.n_asked
    assert outcome.confidence == max(totals_of(ballots).values()) / len(ballots)


@given(BALLOTS, THRESHOLDS, BALLOTS)
def test_no_later_ballot_could_change_whether_the_answer_is_sure_enough(ballots, threshold, later):
    outcome = count(ballots, threshold)
    winner, n_left = ballots[outcome.winner].answer, len(ballots) - outcome.n_asked
    for rest in (
        [Ballot("other", 1.0)] * n_left,
        [Ballot(winner, 1.0)] * n_left,
        (later * n_left)[:n_left],
    ):
        again = count([*ballots[: outcome.n_asked], *rest], threshold)
        assert (again.confidence < threshold) is (outcome.confidence < threshold)
        assert again.n_asked == outcome.n_asked


def test_a_vote_goes_on_until_its_answer_is_sure_enough_or_cannot_be():
    sure, unsure = Ballot("7", 1.0), Ballot("7", 0.25)
    assert count([sure, sure, sure, sure], abstain_below=0.75) == Outcome(0, 3, 1.0)
    assert count([sure, sure, unsure, sure], abstain_below=0.75) == Outcome(0, 4, 0.8125)
    assert count([sure, unsure, unsure, unsure], abstain_below=0.75) == Outcome(0, 3, 0.4375)


def test_a_majority_of_five_is_decided_by_three_that_agree():
    same, other = Ballot("7", 1.0), Ballot("8", 1.0)
    assert count([same, same, same, other, other]) == Outcome(0, 3, 3 / 5)
    assert count([same, other, other, same, other]) == Outcome(1, 5, 3 / 5)


def test_equal_answers_go_to_the_one_given_first():
    assert count([Ballot("b", 0.5), Ballot("a", 0.5)]) == Outcome(0, 2, 0.25)
