"""How often a selector is shown to help: where it cannot, and where it does. Prints the rates."""

import math

import pytest
from exact_null import judgement, shown
from scipy.stats import binom

import blind_answers
from skiploop.policies.selector.learning import SelectorConfig
from skiploop.policies.selector.policy import learn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROMISED = 0.025


def rate(n_questions, n_tables, gain):
    is_shown, gains = shown(n_questions, n_tables, gain)
    share = is_shown.mean()
    error = math.sqrt(max(share, PROMISED) * (1 - share) / n_tables)
    print(  # noqa: T201 (the rates are the result)
        f"{n_questions} questions, planted {100 * gain:+.0f}, judged {100 * gains.mean():+.2f} "
        f"points: shown in {100 * share:.1f} % of {n_tables} tables (standard error "
        f"{100 * error:.1f})"
    )
    return is_shown.sum()


@pytest.mark.parametrize(
    ("n_questions", "n_tables"), [(60, 300), (300, 200), (1000, 60), (5000, 6)]
)
def test_chance_is_shown_to_help_as_seldom_as_promised(n_questions, n_tables):
    n_shown = rate(n_questions, n_tables, gain=0.0)
    assert n_shown <= binom.ppf(0.999, n_tables, PROMISED)


def test_the_larger_a_gain_the_oftener_it_is_shown():
    few, some, many = (rate(1000, 30, gain) for gain in (0.02, 0.04, 0.08))
    assert few <= some <= many and many >= 15


def blind_rate(n_questions, n_golds, n_tables, skill, gain=0.0):
    tables = (
        blind_answers.table(n_questions, seed, n_golds, skill, gain) for seed in range(n_tables)
    )
    found = [judgement(learn(*one, SelectorConfig())) for one in tables]
    n_shown = sum(one.is_shown_to_help for one in found)
    n_before = sum(one.gain > 0 and one.p < 0.05 for one in found)
    print(  # noqa: T201
        f"{n_questions} questions, {n_golds} answers, plain model knows {100 * skill:.0f} % or "
        f"writes a word that is never right, programs know {100 * gain:.0f} % more: shown in "
        f"{n_shown} of {n_tables} tables, more often right in {n_before}"
    )
    return n_shown


@pytest.mark.parametrize(("n_questions", "n_tables"), [(60, 100), (300, 100), (1000, 20)])
@pytest.mark.parametrize("n_golds", [2, 10, 100])
@pytest.mark.parametrize("skill", [0.0, 0.15])
def test_a_word_that_is_never_right_makes_others_no_gain(n_questions, n_golds, n_tables, skill):
    n_shown = blind_rate(n_questions, n_golds, n_tables, skill)
    assert n_shown <= binom.ppf(0.999, n_tables, PROMISED)


@pytest.mark.parametrize(("n_golds", "gain"), [(2, 0.4), (10, 0.3), (100, 0.2)])
def test_programs_that_know_more_than_such_a_model_are_shown_to_help(n_golds, gain):
    assert blind_rate(300, n_golds, 20, 0.15, gain) >= 15
