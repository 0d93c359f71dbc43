"""How often a test on pairs calls a difference where there is none, though questions have twins."""

import math

import pytest

from skiploop.stats import SIGNIFICANCE
from twins import false_calls

pytestmark = pytest.mark.slow

N_RUNS = 4000


@pytest.mark.parametrize("n_groups", [12, 60, 300])
@pytest.mark.parametrize("likeness", [0.0, 0.5, 1.0])
def test_a_difference_is_called_as_rarely_as_promised(n_groups, likeness):
    found = false_calls(n_runs=N_RUNS, n_groups=n_groups, likeness=likeness, seed=n_groups)
    of_groups, of_questions = found
    error = math.sqrt(SIGNIFICANCE * (1 - SIGNIFICANCE) / N_RUNS)
    print(  # noqa: T201 (the rates are the result)
        f"{n_groups} groups, likeness {likeness}: {100 * of_groups:.1f} % with groups, "
        f"{100 * of_questions:.1f} % without (promised: 5 %, standard error {100 * error:.1f})"
    )
    assert of_groups <= SIGNIFICANCE + 3 * error
