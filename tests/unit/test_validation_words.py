"""What `train` says of a selector: whether it helps, why not, and what to do next."""

from pathlib import Path

import pytest

from skiploop.policies.selector.validation import Validation
from skiploop.report.validation import validation_lines
from skiploop.stats import Mean, Paired

RUN = Path("RUN")
BEYOND, BLIND = Mean(0.2, 0.02, 80), Mean(0.0, 0.02, 80)


def validation(fixed, broken, gain, p, beyond):
    return Validation(Paired(fixed, broken, 100), gain, p, 20, beyond)


def test_a_choice_that_helps_is_to_be_judged():
    verdict, figures, then = validation_lines(validation(30, 5, 0.25, 0.001, BEYOND), RUN)
    assert verdict == "shown to help"
    assert figures.startswith("on 100 questions") and "+25.0 (30 / 5)" in figures
    assert then == "next: skiploop evaluate --run RUN --policy selector"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (validation(3, 9, -0.06, 0.2, BEYOND), "it gained nothing"),
        (validation(9, 5, 0.04, 0.4, BEYOND), "may be chance"),
        (validation(30, 5, 0.25, 0.001, BLIND), "one answer for all questions of a category may"),
        (validation(0, 0, 0.0, 1.0, None), "it gained nothing"),
    ],
)
def test_a_choice_that_is_not_shown_to_help_says_why_and_what_may_help(found, why):
    verdict, _, then = validation_lines(found, RUN)
    assert verdict.startswith("not shown to help, it keeps the plain model for every prompt: ")
    assert why in verdict
    assert then.startswith(
        "what may help: more questions, as so many show only a gain of 17 points"
    )


def test_a_choice_that_no_question_can_judge_says_what_to_change():
    (line,) = validation_lines(Validation(Paired(0, 0, 0), 0.0, 1.0, 60, None), RUN)
    assert "build a menu with --limit above --race-questions" in line
