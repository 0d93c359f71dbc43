"""How large a gain so many questions can show, against tables that are drawn."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from skiploop.evaluation.power import BROKEN_A_FIXED, WANTED, Judged, least_gain, least_loss, power
from skiploop.stats import SIGNIFICANCE, mcnemar_exact

N_TABLES = 4000
p_value = cache(mcnemar_exact)


def share_shown(judged, fixed, broken):
    """Return how many of some drawn tables show a gain."""
    draw = np.random.default_rng(0)
    shares = [fixed, broken, 1 - fixed - broken]
    tables = draw.multinomial(judged.n_questions, shares, N_TABLES)[:, :2].tolist()
    return sum(b > c and p_value(b, c) < judged.level for b, c in tables) / N_TABLES


@pytest.mark.parametrize(
    ("judged", "fixed", "broken"),
    [
        (Judged(60), 0.2, 0.05),
        (Judged(60), 0.05, 0.05),
        (Judged(200, SIGNIFICANCE / 2), 0.08, 0.02),
        (Judged(600), 0.045, 0.015),
        (Judged(30), 0.5, 0.5),
        (Judged(30), 1.0, 0.0),
    ],
)
def test_the_power_is_the_share_of_drawn_tables_that_show_a_gain(judged, fixed, broken):
    found = power(judged, fixed, broken)
    noise = 4 * (found * (1 - found) / N_TABLES) ** 0.5
    assert share_shown(judged, fixed, broken) == pytest.approx(found, abs=noise + 1e-9)


@pytest.mark.parametrize("n_questions", [1, 5, 40, 300])
def test_without_a_gain_half_of_the_level_is_shown_at_most(n_questions):
    assert power(Judged(n_questions), 0.1, 0.1) <= SIGNIFICANCE / 2
    assert power(Judged(n_questions), 0.0, 0.1) == 0


@pytest.mark.parametrize("judged", [[Judged(72)], [Judged(600)], [Judged(98), Judged(62, 0.025)]])
def test_the_least_gain_is_shown_four_times_of_five_and_a_tenth_of_a_point_less_is_not(judged):
    def shown(gain):
        fixed = gain / (1 - BROKEN_A_FIXED)
        return np.prod([power(one, fixed, fixed * BROKEN_A_FIXED) for one in judged])

    gain = least_gain(judged)
    assert shown(gain) >= WANTED > shown(gain - 0.001)


def test_with_600_questions_a_gain_of_3_points_can_be_shown():
    assert least_gain([Judged(600)]) == pytest.approx(0.029)


def test_few_questions_show_no_gain():
    assert least_gain([Judged(20)]) is None
    assert least_gain([Judged(2000), Judged(20)]) is None


def test_more_questions_rule_out_smaller_losses():
    losses = [least_loss(n, 0.1) for n in (20, 100, 1000)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(1.96 * (0.1 / 1000) ** 0.5, rel=0.02)


def test_the_table_of_the_how_to_is_that_of_a_file_of_so_many_lines():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "fit-my-data.md"
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| ([\d.]+) \|$", page.read_text(), re.MULTILINE)
    assert len(rows) == 4
    for n_lines, n_held_out, points in rows:
        n_train = int(n_lines.replace(",", "")) * 6 // 10
        n_left = n_train - min(120, n_train // 3)
        judged = [Judged(n_left - round(n_left / 5)), Judged(int(n_held_out.replace(",", "")))]
        assert 100 * least_gain(judged) == pytest.approx(float(points))
