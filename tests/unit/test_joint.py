"""Decoding all labels at once, against every program of small spaces."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import all_programs

from skiploop.errors import ConfigError
from skiploop.menus.menu import Menu
from skiploop.policies.polar.joint import (
    N_CANDIDATES,
    LabelScores,
    MenuDecoding,
    PriorDecoding,
    rank_jointly,
)
from skiploop.programs.program import Program
from skiploop.programs.space import ProgramSpace


@st.composite
def logits(draw, n_layers):
    logit = st.floats(-4, 4)
    boundary = draw(st.lists(logit, min_size=n_layers, max_size=n_layers))
    row = st.lists(logit, min_size=3, max_size=3)
    return boundary, draw(st.lists(row, min_size=n_layers, max_size=n_layers))


@st.composite
def cases(draw):
    space = ProgramSpace(draw(st.integers(1, 6)), max_block=draw(st.integers(1, 3)))
    return space, draw(logits(space.n_layers)), draw(logits(space.n_layers))


@given(cases(), st.integers(1, 8))
def test_the_likeliest_programs_of_the_space_are_found(case, k):
    space, given_logits, _ = case
    table = LabelScores.of(*given_logits)
    scores = sorted((table.program(p, space) for p in all_programs(space)), reverse=True)
    found = rank_jointly(*given_logits, space=space, k=k)
    assert [one.logprob for one in found] == pytest.approx(scores[:k], abs=1e-9)
    assert len({one.program for one in found}) == len(found)
    for program, logprob in found:
        assert table.program(program, space) == pytest.approx(logprob, abs=1e-9)


@given(cases(), st.integers(1, 8))
def test_with_a_prior_likely_programs_are_ranked_by_what_speaks_for_them_here(case, k):
    space, given_logits, other = case
    prior = LabelScores.of(*other)
    found = PriorDecoding(prior)(*given_logits, space=space, k=k)
    likely = [p for p, _ in rank_jointly(*given_logits, space=space, k=N_CANDIDATES)]
    table = LabelScores.of(*given_logits)
    gains = sorted(
        (table.program(p, space) - prior.program(p, space) for p in likely), reverse=True
    )
    assert [one.logprob for one in found] == pytest.approx(gains[:k], abs=1e-9)


@given(cases())
def test_labels_of_all_covers_have_probabilities_below_one(case):
    space, given_logits, _ = case
    table = LabelScores.of(*given_logits)
    assert math.fsum(math.exp(table.program(p, space)) for p in all_programs(space)) <= 1 + 1e-9


def test_the_programs_of_a_menu_are_ranked_and_those_outside_the_space_come_last():
    texts = ("identity", "2:3x2~0.5", "2:3x2")
    programs = tuple(Program.parse(text, 6) for text in texts)
    menu = Menu(programs, "weights", (0.0,) * 3)
    flat = [[0.0, 0.0, 0.0]] * 6
    prior = LabelScores.of([-3.0] * 6, flat)
    scores = [-3.0, -3.0, 3.0, 3.0, -3.0, -3.0], flat
    ranked = MenuDecoding(menu, prior)(*scores, space=ProgramSpace(6), k=3)
    assert [str(one.program) for one in ranked] == ["2:3x2", "identity", "2:3x2~0.5"]


def test_a_prior_without_prompts_is_refused():
    with pytest.raises(ConfigError, match="give at least one"):
        LabelScores.mean([])


def test_a_prior_is_the_mean_of_probabilities():
    one, other = (LabelScores.of([0.0, logit], [[0.0, logit]] * 2) for logit in (-2.0, 1.0))
    mean = LabelScores.mean([one, other])
    expected = (1 / (1 + math.exp(2.0)) + 1 / (1 + math.exp(-1.0))) / 2
    assert math.exp(mean.starts[1]) == pytest.approx(expected)
    assert math.exp(mean.runs[0][1]) == pytest.approx(expected)
