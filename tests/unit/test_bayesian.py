"""The search that expects gains to add up, and what it believes."""

import numpy as np
import pytest

from skiploop import Program, ProgramSpace
from skiploop.errors import ProgramError
from skiploop.search.bayesian import FIRST, BayesianSearch
from skiploop.search.belief import NOISE, Belief, prior, resemblance
from skiploop.search.protocol import Outcome

SPACE = ProgramSpace(16)
EDITS = SPACE.single_edits
NOTHING = np.zeros(len(EDITS))


def searcher(effects_E=NOTHING):
    return BayesianSearch(SPACE, prior(EDITS, effects_E))


def run(search, outcome, n=40, at_once=4):
    """Ask and tell the identity and about `n` programs; return them in order."""
    asked = []
    while len(asked) <= n and (programs := search.ask(at_once)):
        asked += programs
        for program in programs:
            search.tell(program, outcome(program))
    return asked


def near(*good):
    """Return outcomes that are the better the more the edits resemble good ones."""
    resembling_EE = resemblance(EDITS)

    def outcome(program):
        some = [EDITS.index(edit) for edit in program.edits if edit in EDITS]
        gain = sum(
            max((resembling_EE[EDITS.index(one), number] for number in some), default=0.5) - 0.5
            for one in good
        )
        return Outcome(gain > 0.49 * len(good), -3.0 + 4.0 * gain)

    return outcome


def test_the_identity_comes_first_and_alone():
    search = searcher()
    (first,) = search.ask(8)
    assert first.is_identity and search.ask(8) == []
    search.tell(first, Outcome(False, -4.0))
    assert search.ask(8)


def test_few_programs_are_proposed_before_anything_was_told_of_one():
    search = searcher()
    search.tell(*search.ask(8), Outcome(False, -4.0))
    first = search.ask(8)
    assert len(first) == FIRST < 8
    search.tell(first[0], Outcome(False, -4.0))
    assert len(search.ask(8)) == 8


def test_programs_are_of_the_space_and_come_once():
    asked = run(searcher(), near(EDITS[20], EDITS[90]), n=1000)
    assert len(set(asked)) == len(asked) > len(EDITS)
    assert all(program in SPACE for program in asked)
    assert {SPACE.n_edits(program) for program in asked} == {0, 1, 2}


def test_the_same_outcomes_give_the_same_search():
    outcome = near(EDITS[40])
    assert run(searcher(), outcome) == run(searcher(), outcome)


@pytest.mark.parametrize("number", [40, 77])
def test_what_resembles_a_helpful_edit_leads_to_it(number):
    outcome = near(EDITS[number])
    found = [outcome(program).correct for program in run(searcher(), outcome, n=len(EDITS))]
    assert found.index(True) < len(EDITS) / 3  # half of them, if nothing led there


def test_two_edits_that_help_are_tried_together():
    good = EDITS[20], EDITS[90]
    outcome = near(*good)
    asked = run(searcher(), outcome, n=len(EDITS))
    both = Program.identity(16).with_edit(good[0]).with_edit(good[1])
    assert outcome(both).correct and both in asked


def test_an_edit_that_helps_to_first_order_comes_early():
    effects_E = NOTHING - 1.0
    effects_E[40] = 3.0
    asked = run(searcher(effects_E), lambda _: Outcome(False, -3.0), n=8)
    assert Program.identity(16).with_edit(EDITS[40]) in asked


def test_where_the_plain_model_is_right_shorter_programs_come_first():
    asked = run(searcher(), lambda _: Outcome(True, -0.5), n=30)
    assert all(program.n_slots < 16 for program in asked[1:])


def test_programs_are_told_once_and_only_if_asked_for():
    search = searcher()
    with pytest.raises(ProgramError, match="not asked for"):
        search.tell(Program.parse("3:5x0", 16), Outcome(True))
    (identity,) = search.ask(1)
    search.tell(identity, Outcome(False))
    with pytest.raises(ProgramError, match="told already"):
        search.tell(identity, Outcome(False))


def test_without_log_probabilities_verdicts_lead():
    outcome = near(EDITS[40])

    def verdict(program):
        return Outcome(outcome(program).correct)

    asked = run(searcher(), verdict, n=len(EDITS), at_once=1)
    first = [verdict(program).correct for program in asked].index(True)
    after = [resemblance((EDITS[40], program.edits[0]))[0, 1] for program in asked[first + 1 :][:5]]
    assert np.mean(after) > 0.4  # a third, if nothing led there


def test_what_could_not_be_graded_teaches_nothing():
    search = searcher()
    search.tell(*search.ask(1), Outcome(None))
    before = search.belief
    for program in search.ask(4):
        search.tell(program, Outcome(None, float("nan")))
    assert search.belief is before


def test_a_belief_is_the_conditional_distribution():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    mean_E, cov_EE = rng.normal(size=5), root @ root.T
    belief, seen, gains = Belief(mean_E, cov_EE), [3, 0], np.array([0.5, -1.0])
    for number, gain in zip(seen, gains, strict=True):
        belief = belief.told(number, gain)
    weight = cov_EE[:, seen] @ np.linalg.inv(cov_EE[np.ix_(seen, seen)] + NOISE * np.eye(2))
    np.testing.assert_allclose(belief.mean_E, mean_E + weight @ (gains - mean_E[seen]))
    np.testing.assert_allclose(belief.cov_EE, cov_EE - weight @ cov_EE[seen], atol=1e-12)


def test_a_resemblance_is_a_correlation():
    correlation_EE = resemblance(EDITS)
    np.testing.assert_allclose(np.diag(correlation_EE), 1.0)
    assert np.linalg.eigvalsh(correlation_EE).min() > 0
