"""How often a selector is shown to help: where it cannot, and where it does. Prints the rates."""

import math

import pytest
from exact_null import shown
from scipy.stats import binom

pytestmark = pytest.mark.slow

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


@pytest.mark.parametrize(("n_questions", "n_tables"), [(60, 300), (300, 200), (1000, 60)])
def test_chance_is_shown_to_help_as_seldom_as_promised(n_questions, n_tables):
    n_shown = rate(n_questions, n_tables, gain=0.0)
    assert n_shown <= binom.ppf(0.999, n_tables, PROMISED)


def test_the_larger_a_gain_the_oftener_it_is_shown():
    few, some, many = (rate(1000, 30, gain) for gain in (0.02, 0.04, 0.08))
    assert few <= some <= many and many >= 15
