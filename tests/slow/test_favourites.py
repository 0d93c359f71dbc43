"""Error rates and power of what reports say about favourite answers, with the rates printed."""

import numpy as np
import pytest
from scipy.stats import binom

from favourites import NULLS, TextTask, answered, drawn, examples_of, records, verdicts
from skiploop.evaluation.shuffled_answers import shuffled_accuracy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROMISED = 0.025
"""Half of the 5 % of both sides: a gain that is none is called one."""


@pytest.mark.parametrize("n", [60, 300, 1000])
@pytest.mark.parametrize("null", NULLS)
def test_favourite_answers_are_called_better_no_more_often_than_promised(null, n):
    repetitions = {60: 300, 300: 150, 1000: 40}[n]
    found = verdicts(null, n, repetitions)
    print(f"{null}, {n} questions: better {found['better'] / repetitions:.3f}")  # noqa: T201
    assert found["better"] <= binom.isf(0.001, repetitions, PROMISED)


@pytest.mark.parametrize(("n", "gain", "least"), [(300, 0.1, 0.75), (1000, 0.04, 0.3)])
def test_a_policy_that_knows_more_is_called_better(n, gain, least):
    repetitions = 60
    found = verdicts("equal skill, a word that is never right", n, repetitions, gain=gain)
    power = found["better"] / repetitions
    print(f"{100 * gain:.0f} points more of {n} questions: better {power:.2f}")  # noqa: T201
    assert power >= least


@pytest.mark.parametrize(("n", "n_golds"), [(60, 2), (60, 10), (200, 10), (200, 300), (1000, 300)])
def test_intervals_of_shuffled_answers_hold_the_share_as_often_as_they_say(n, n_golds):
    repetitions, n_missed = 200, 0
    shares = 1 / np.arange(1, n_golds + 1)
    shares /= shares.sum()
    truth = 0.3 * (shares**2).sum() + 0.7 * (shares * np.roll(shares, 1)).sum()
    for repetition in range(repetitions):
        rng = np.random.default_rng([7, repetition])
        golds = drawn(rng, n, n_golds)
        others = [str(found) for found in rng.choice(n_golds, n, p=np.roll(shares, 1))]
        knows = answered(rng, golds, 0.3, "other")
        texts = [o if t == "other" else t for t, o in zip(knows, others, strict=True)]
        examples = examples_of(golds)
        found = shuffled_accuracy(records("p", examples, texts), TextTask(), examples)["p"]
        low, high = found.interval
        n_missed += not low <= truth <= high
    print(f"{n} questions, {n_golds} answers: missed {n_missed / repetitions:.3f}")  # noqa: T201
    assert n_missed <= binom.isf(0.001, repetitions, 0.065)
