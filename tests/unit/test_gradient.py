"""The search that scales layers, on functions whose slopes are known."""

import math

import numpy as np
import pytest

from skiploop import Program
from skiploop.errors import ProgramError
from skiploop.programs.scales import scaled_program, scales_of, shuffled_scales
from skiploop.search.gradient import FIRST, GradientSearch
from skiploop.search.protocol import Outcome

N_LAYERS = 12
TOP = np.random.default_rng(0).uniform(0.7, 1.3, N_LAYERS)


def outcome(program, right_from=-0.05):
    """A hill: log p falls with the squared distance from the top, some layers count more."""
    weights = np.linspace(1, 8, N_LAYERS)
    away = np.array(scales_of(program)) - TOP
    logprob = -float(weights @ away**2)
    return Outcome(logprob > right_from, logprob, tuple(-2 * weights * away))


def searched(tell, n=30):
    """Return the programs of one search with their outcomes."""
    search, told = GradientSearch(N_LAYERS), []
    while len(told) < n and (asked := search.ask(8)):
        (program,) = asked
        told.append((program, tell(program)))
        search.tell(*told[-1])
    return told


def test_a_search_starts_with_the_identity_and_ends_with_the_first_right_answer():
    told = searched(outcome)
    programs = [program for program, _ in told]
    assert programs[0].is_identity and not told[0][1].correct
    assert [one.correct for _, one in told] == [False] * (len(told) - 1) + [True]
    assert len(told) < 15 and len(set(programs)) == len(programs)
    assert {program.n_slots for program in programs} == {N_LAYERS}


def test_where_the_plain_model_is_right_nothing_else_is_asked_for():
    assert len(searched(lambda program: outcome(program, right_from=-math.inf))) == 1


def test_the_first_step_is_uphill_and_as_long_as_is_said():
    (identity, first), (program, _) = searched(outcome, 2)
    way = np.array(scales_of(program)) - np.array(scales_of(identity))
    assert np.linalg.norm(way) == pytest.approx(FIRST, abs=0.01)
    assert (np.sign(way) == np.sign(first.slopes)).all()


def test_where_no_step_leads_higher_steps_get_shorter_and_end():
    def always_worse(program):
        return Outcome(False, -1.0 if program.is_identity else -2.0, (1.0,) * N_LAYERS)

    told = searched(always_worse)
    lengths = [np.linalg.norm(np.array(scales_of(one)) - 1) for one, _ in told[1:]]
    assert lengths == sorted(lengths, reverse=True) and 2 < len(lengths) < 10


@pytest.mark.parametrize(
    "told", [Outcome(None), Outcome(False, -1.0), Outcome(False, math.nan, (1.0,) * N_LAYERS)]
)
def test_without_slopes_or_log_probability_of_the_plain_model_nothing_follows(told):
    assert len(searched(lambda _: told)) == 1


def test_scales_stay_in_their_range():
    told = searched(lambda _: Outcome(False, -1.0, (1.0,) + (0.0,) * (N_LAYERS - 1)), 2)
    assert scales_of(told[1][0])[1:] == [1.0] * (N_LAYERS - 1)
    steep = iter(range(100))
    rising = searched(
        lambda _: Outcome(False, float(next(steep)), (-1.0,) + (0.0,) * (N_LAYERS - 1)), 20
    )
    assert min(min(scales_of(program)) for program, _ in rising) == 0


def test_a_program_that_was_not_asked_for_is_refused():
    search = GradientSearch(N_LAYERS)
    with pytest.raises(ProgramError, match="was not asked for"):
        search.tell(Program.identity(N_LAYERS), Outcome(False))
    (identity,) = search.ask(1)
    assert search.ask(1) == []  # it waits for the outcome
    search.tell(identity, outcome(identity))
    with pytest.raises(ProgramError, match="was told already"):
        search.tell(identity, outcome(identity))


def test_scales_and_programs_are_two_forms_of_one_thing():
    scales = [1.0, 0.5, 0.5, 1.0, 2.0]
    program = scaled_program(scales)
    assert str(program) == "1:3x1*0.5 4:5x1*2" and scales_of(program) == scales
    shuffled = shuffled_scales(program, seed=3)
    assert sorted(scales_of(shuffled)) == sorted(scales) and shuffled != program
    assert shuffled == shuffled_scales(program, seed=3)
